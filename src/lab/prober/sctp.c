/*
 * SCTP without SCTP sockets (RFC 9260): INIT (3.3.2), INIT ACK (3.3.3) and ABORT (3.3.7), built and read by hand over
 * one raw socket per namespace and family. An open raw socket also keeps the kernel from answering "protocol unreachable".
 *
 *    0                   1                   2                   3
 *   |          source port          |       destination port        |
 *   |                       verification tag                        |
 *   |           checksum: CRC32c of the packet, little endian       |
 *   | chunk type    | chunk flags   |         chunk length          |
 *   |  INIT, INIT ACK: initiate tag, a_rwnd, streams out and in, initial TSN, then parameters                |
 *
 * The checksum must be right: nf_conntrack drops to INVALID what does not verify.
 */
#define _GNU_SOURCE
#include "prober.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INIT = 1, INIT_ACK = 2, ABORT = 6, STATE_COOKIE = 7, COMMON = 12, INIT_CHUNK = 20, PACKET = COMMON + INIT_CHUNK + 4 + NAME_BYTES };

/* The raw socket of one namespace and family, and who waits on it. */
struct raw {
  struct watch watch;
  const struct place *place;
  int family;
  struct sctp_probe *probes; /* BOUNDED by the probe window */
  struct raw *next;
};

struct port {
  const struct place *place;
  uint16_t number;
  char name[NAME_BYTES];
  struct port *next;
};

static struct raw *raws;   /* BOUNDED by two per namespace */
static struct port *ports; /* BOUNDED by the ports the caller asked for */

static uint32_t crc32c(const uint8_t *bytes, size_t length) {
  uint32_t crc = ~0u;
  for (size_t i = 0; i < length; i++) {
    crc ^= bytes[i];
    for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >> 1 ^ 0x82f63b78 : crc >> 1;
  }
  return ~crc;
}

static void put16(uint8_t *at, uint16_t value) { at[0] = (uint8_t)(value >> 8), at[1] = (uint8_t)value; }
static void put32(uint8_t *at, uint32_t value) { put16(at, (uint16_t)(value >> 16)), put16(at + 2, (uint16_t)value); }
static uint16_t get16(const uint8_t *at) { return (uint16_t)(at[0] << 8 | at[1]); }
static uint32_t get32(const uint8_t *at) { return (uint32_t)get16(at) << 16 | get16(at + 2); }

/* Writes header and chunk around `body` bytes of chunk value already in place; returns the packet's length. */
static size_t seal(uint8_t *packet, uint16_t from, uint16_t to, uint32_t tag, uint8_t type, size_t body) {
  size_t padded = (body + 3) / 4 * 4;
  memset(packet, 0, COMMON);
  put16(packet, from);
  put16(packet + 2, to);
  put32(packet + 4, tag);
  packet[COMMON] = type;
  packet[COMMON + 1] = 0;
  put16(packet + COMMON + 2, (uint16_t)(4 + body));
  uint32_t crc = crc32c(packet, COMMON + 4 + padded);
  for (int i = 0; i < 4; i++) packet[8 + i] = (uint8_t)(crc >> 8 * i);
  return COMMON + 4 + padded;
}

/* The 16 fixed bytes of INIT and INIT ACK after the chunk header. */
static void put_init(uint8_t *value, uint32_t tag) {
  put32(value, tag);
  put32(value + 4, 65536); /* a_rwnd */
  put16(value + 8, 1);     /* outbound streams */
  put16(value + 10, 1);    /* inbound streams */
  put32(value + 12, tag);  /* initial TSN: any number */
}

static uint32_t fresh_tag(void) {
  static uint32_t state;
  if (state == 0) state = (uint32_t)now_us() | 1;
  state ^= state << 13, state ^= state >> 17, state ^= state << 5; /* xorshift: never 0, which 3.3.2 forbids */
  return state;
}

/* Sends from the address a packet came to; raw IPv6 sockets want port 0 in the destination. */
static bool send_packet(const struct raw *r, const union endpoint *from, const union endpoint *to, const uint8_t *bytes, size_t length) {
  union endpoint target = *to;
  char control[64] = {0};
  struct iovec part = {(void *)bytes, length};
  struct msghdr message = {.msg_name = &target, .msg_namelen = endpoint_size(&target), .msg_iov = &part, .msg_iovlen = 1, .msg_control = control};
  struct cmsghdr *c = (struct cmsghdr *)control;
  if (r->family == AF_INET) {
    target.v4.sin_port = 0;
    struct in_pktinfo info = {.ipi_spec_dst = from->v4.sin_addr};
    *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof info), .cmsg_level = IPPROTO_IP, .cmsg_type = IP_PKTINFO};
    memcpy(CMSG_DATA(c), &info, sizeof info);
    message.msg_controllen = CMSG_SPACE(sizeof info);
  } else {
    target.v6.sin6_port = 0;
    struct in6_pktinfo info = {.ipi6_addr = from->v6.sin6_addr};
    *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof info), .cmsg_level = IPPROTO_IPV6, .cmsg_type = IPV6_PKTINFO};
    memcpy(CMSG_DATA(c), &info, sizeof info);
    message.msg_controllen = CMSG_SPACE(sizeof info);
  }
  return sendmsg(r->watch.fd, &message, 0) == (ssize_t)length;
}

static void answer_init(const struct raw *r, const union endpoint *local, const union endpoint *remote, const uint8_t *packet) {
  uint8_t reply[PACKET];
  uint16_t to = get16(packet + 2);
  const struct port *port = ports;
  while (port != NULL && (port->place != r->place || port->number != to)) port = port->next;
  if (port == NULL) return;
  size_t name = strlen(port->name), cookie = 4 + name;
  uint8_t *value = reply + COMMON + 4;
  memset(reply, 0, sizeof reply);
  put_init(value, fresh_tag());
  put16(value + 16, STATE_COOKIE);
  put16(value + 18, (uint16_t)cookie);
  memcpy(value + 20, port->name, name);
  /* 3.2: the chunk's length leaves out the padding of its last parameter. */
  size_t length = seal(reply, to, get16(packet), get32(packet + COMMON + 4), INIT_ACK, 16 + cookie);
  send_packet(r, local, remote, reply, length);
}

static void take_init_ack(struct raw *r, const union endpoint *local, const union endpoint *remote, const uint8_t *packet, size_t length) {
  for (struct sctp_probe **at = &r->probes; *at != NULL; at = &(*at)->next) {
    struct sctp_probe *probe = *at;
    bool same_ports = ntohs(probe->local.v4.sin_port) == get16(packet + 2) && ntohs(probe->remote.v4.sin_port) == get16(packet);
    if (!same_ports || probe->tag != get32(packet + 4) || !same_address(&probe->remote, remote)) continue;
    char name[NAME_BYTES] = "-";
    size_t cookie = length >= COMMON + INIT_CHUNK + 4 ? get16(packet + COMMON + 22) : 0;
    if (cookie > 4 && cookie - 4 < sizeof name && COMMON + INIT_CHUNK + cookie <= length && get16(packet + COMMON + 20) == STATE_COOKIE) {
      memcpy(name, packet + COMMON + INIT_CHUNK + 4, cookie - 4);
      name[cookie - 4] = '\0';
    }
    uint8_t abort_packet[COMMON + 4];
    size_t bytes = seal(abort_packet, get16(packet + 2), get16(packet), get32(packet + COMMON + 4), ABORT, 0);
    send_packet(r, local, remote, abort_packet, bytes);
    *at = probe->next;
    probe->answered(probe, name);
    return;
  }
}

static void raw_ready(struct watch *w, uint32_t events) {
  (void)events;
  struct raw *r = (struct raw *)w;
  for (;;) {
    uint8_t bytes[DATAGRAM_BYTES];
    char control[256];
    union endpoint remote, local;
    struct iovec part = {bytes, sizeof bytes};
    struct msghdr message = {
      .msg_name = &remote, .msg_namelen = sizeof remote, .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t n = recvmsg(w->fd, &message, 0);
    if (n < 0) return;
    memset(&local, 0, sizeof local);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c != NULL; c = CMSG_NXTHDR(&message, c)) {
      if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO)
        local.v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = ((struct in_pktinfo *)CMSG_DATA(c))->ipi_addr};
      else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO)
        local.v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_addr = ((struct in6_pktinfo *)CMSG_DATA(c))->ipi6_addr};
    }
    /* Raw IPv4 sockets deliver the IP header, raw IPv6 sockets do not. */
    size_t head = r->family == AF_INET && n > 0 ? (size_t)(bytes[0] & 15) * 4 : 0;
    if ((size_t)n < head + COMMON + INIT_CHUNK || local.generic.sa_family != r->family) continue;
    const uint8_t *packet = bytes + head;
    size_t length = (size_t)n - head;
    if (packet[COMMON] == INIT) answer_init(r, &local, &remote, packet);
    else if (packet[COMMON] == INIT_ACK) take_init_ack(r, &local, &remote, packet, length);
  }
}

static struct raw *raw_of(struct place *p, int family, char *error, size_t error_bytes) {
  for (struct raw *r = raws; r != NULL; r = r->next)
    if (r->place == p && r->family == family) return r;
  const int on = 1, room = 1 << 20;
  int fd = place_socket(p, family, SOCK_RAW, IPPROTO_SCTP);
  bool ok = fd >= 0;
  if (family == AF_INET) ok = ok && setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on) == 0;
  else ok = ok && setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on) == 0;
  struct raw *r = ok ? calloc(1, sizeof *r) : NULL;
  if (r == NULL) {
    snprintf(error, error_bytes, "Cannot open a raw SCTP socket in \"%.100s\": %s", place_name(p), strerror(errno));
    loop_close(&(struct watch){.fd = fd});
    return NULL;
  }
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room); /* without privilege the default has to do */
  *r = (struct raw){{fd, raw_ready}, p, family, NULL, raws};
  raws = r;
  loop_add(&r->watch, EPOLLIN);
  return r;
}

bool sctp_listen(struct place *p, uint16_t number, const char *name, char *error, size_t error_bytes) {
  /* A host without IPv6 still serves IPv4. */
  if (raw_of(p, AF_INET, error, error_bytes) == NULL) return false;
  if (raw_of(p, AF_INET6, error, error_bytes) == NULL && errno != EAFNOSUPPORT) return false;
  struct port *port = calloc(1, sizeof *port);
  if (port == NULL) return false;
  port->place = p;
  port->number = number;
  snprintf(port->name, sizeof port->name, "%s", name);
  port->next = ports;
  ports = port;
  return true;
}

void sctp_stop(const struct place *p) {
  for (struct port **at = &ports; *at != NULL;) {
    struct port *port = *at;
    if (port->place == p) *at = port->next, free(port);
    else at = &port->next;
  }
  for (struct raw **at = &raws; *at != NULL;) {
    struct raw *r = *at;
    if (r->place == p) *at = r->next, loop_close(&r->watch), loop_free_later(r);
    else at = &r->next;
  }
}

bool sctp_send_init(struct place *p, struct sctp_probe *probe, char *error, size_t error_bytes) {
  uint8_t packet[PACKET] = {0};
  struct raw *r = raw_of(p, probe->remote.generic.sa_family, error, error_bytes);
  if (r == NULL) return false;
  if (probe->tag == 0) { /* not a repetition */
    probe->tag = fresh_tag();
    probe->next = r->probes;
    r->probes = probe;
  }
  put_init(packet + COMMON + 4, probe->tag);
  size_t length = seal(packet, ntohs(probe->local.v4.sin_port), ntohs(probe->remote.v4.sin_port), 0, INIT, 16);
  if (send_packet(r, &probe->local, &probe->remote, packet, length)) return true;
  snprintf(error, error_bytes, "%s", strerror(errno));
  return false;
}

void sctp_forget(struct place *p, struct sctp_probe *probe) {
  for (struct raw *r = raws; r != NULL; r = r->next)
    for (struct sctp_probe **at = &r->probes; r->place == p && *at != NULL; at = &(*at)->next)
      if (*at == probe) {
        *at = probe->next;
        return;
      }
}
