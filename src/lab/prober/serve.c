/*
 * The answering side. TCP: the name and a newline at once, then an echo. UDP: the name, a newline and the datagram. SCTP: the
 * name as state cookie of the INIT ACK (sctp.c). Sockets are per family, so a host without IPv6 serves IPv4.
 */
#define _GNU_SOURCE
#include "prober.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A TCP listener, a TCP connection or a UDP socket: `watch` is first so that ready() can cast. */
struct served {
  struct watch watch;
  const struct place *place;
  char name[NAME_BYTES];
  struct served *previous, *next;
};

static struct served *all; /* BOUNDED by the ports the caller asked for and by the descriptor limit */

static struct served *served_add(int fd, void (*ready)(struct watch *, uint32_t), const struct place *p, const char *name) {
  struct served *s = calloc(1, sizeof *s);
  if (s == NULL) return NULL;
  s->watch = (struct watch){.fd = fd, .ready = ready};
  s->place = p;
  snprintf(s->name, sizeof s->name, "%s", name);
  s->next = all;
  if (all != NULL) all->previous = s;
  all = s;
  loop_add(&s->watch, EPOLLIN);
  return s;
}

static void served_close(struct served *s) {
  if (s->previous != NULL) s->previous->next = s->next;
  else all = s->next;
  if (s->next != NULL) s->next->previous = s->previous;
  loop_close(&s->watch);
  loop_free_later(s);
}

static void connection_ready(struct watch *w, uint32_t events) {
  char bytes[DATAGRAM_BYTES];
  ssize_t n = read(w->fd, bytes, sizeof bytes);
  if (n > 0 && (events & EPOLLIN)) {
    /* An echo the socket does not take at once is lost: a prober's writes are far smaller than its buffer. */
    if (write(w->fd, bytes, (size_t)n) == n) return;
  } else if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  served_close((struct served *)w);
}

static void listener_ready(struct watch *w, uint32_t events) {
  (void)events;
  struct served *listener = (struct served *)w;
  for (;;) {
    int fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    char line[NAME_BYTES + 1];
    int length = snprintf(line, sizeof line, "%s\n", listener->name);
    if (write(fd, line, (size_t)length) != length || served_add(fd, connection_ready, listener->place, listener->name) == NULL) close(fd);
  }
}

/* Answers from the address that was asked: the wildcard socket would let the routing table choose another. */
static void datagram_ready(struct watch *w, uint32_t events) {
  (void)events;
  struct served *listener = (struct served *)w;
  for (;;) {
    char bytes[NAME_BYTES + DATAGRAM_BYTES], control[256];
    union endpoint from;
    size_t head = (size_t)snprintf(bytes, sizeof bytes, "%s\n", listener->name);
    struct iovec part = {bytes + head, DATAGRAM_BYTES - NAME_BYTES};
    struct msghdr message = {
      .msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t n = recvmsg(w->fd, &message, 0);
    if (n < 0 && errno != EAGAIN && errno != EINTR) continue; /* an ICMP error of an earlier answer */
    if (n < 0) return;
    part = (struct iovec){bytes, head + (size_t)n};
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c != NULL; c = CMSG_NXTHDR(&message, c)) {
      /* The arrival interface is not the way back of an asymmetric route; only the address is kept. */
      if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
        struct in_pktinfo *info = (struct in_pktinfo *)CMSG_DATA(c);
        info->ipi_spec_dst = info->ipi_addr;
        info->ipi_ifindex = 0;
      } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
        struct in6_pktinfo *info = (struct in6_pktinfo *)CMSG_DATA(c);
        if (!IN6_IS_ADDR_LINKLOCAL(&info->ipi6_addr)) info->ipi6_ifindex = 0;
      }
    }
    sendmsg(w->fd, &message, 0); /* an answer that cannot be sent is an answer the prober does not get */
  }
}

static bool bind_wildcard(int fd, int family, uint16_t port) {
  const int on = 1;
  union endpoint any;
  if (!parse_endpoint(family == AF_INET ? "0.0.0.0" : "::", port, &any)) return false;
  if (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) != 0) return false;
  if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) return false;
  return bind(fd, &any.generic, endpoint_size(&any)) == 0;
}

static bool serve_socket(struct place *p, const char *name, enum protocol protocol, int family, uint16_t port) {
  const int on = 1;
  int fd = place_socket(p, family, protocol == TCP ? SOCK_STREAM : SOCK_DGRAM, 0);
  if (fd < 0) return family == AF_INET6 && errno == EAFNOSUPPORT;
  bool ok = bind_wildcard(fd, family, port);
  if (protocol == TCP) ok = ok && listen(fd, 1024) == 0;
  else if (family == AF_INET) ok = ok && setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on) == 0;
  else ok = ok && setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on) == 0;
  if (ok && served_add(fd, protocol == TCP ? listener_ready : datagram_ready, p, name) != NULL) return true;
  int reason = errno;
  close(fd);
  errno = reason;
  return family == AF_INET6 && reason == EADDRNOTAVAIL; /* IPv6 switched off by disable_ipv6 */
}

struct request {
  struct place *place;
  const char *name;
  enum protocol protocol;
  char *error;
  size_t error_bytes;
  bool ok;
};

static void serve_port(uint16_t port, void *context) {
  struct request *r = context;
  if (!r->ok) return;
  if (r->protocol == SCTP) {
    r->ok = sctp_listen(r->place, port, r->name, r->error, r->error_bytes);
    return;
  }
  r->ok = serve_socket(r->place, r->name, r->protocol, AF_INET, port) && serve_socket(r->place, r->name, r->protocol, AF_INET6, port);
  if (!r->ok)
    snprintf(r->error, r->error_bytes, "Cannot listen on port %u in \"%.100s\": %s", port, place_name(r->place), strerror(errno));
}

bool serve(struct place *p, const char *name, enum protocol protocol, const char *ports, char *error, size_t error_bytes) {
  struct request request = {p, name, protocol, error, error_bytes, true};
  if (strlen(name) < NAME_BYTES && each_port(ports, serve_port, &request)) return request.ok;
  snprintf(error, error_bytes, "Cannot read ports \"%.100s\": expected a list such as 80,90-95, and a name below %d bytes", ports, NAME_BYTES);
  return false;
}

void serve_stop(const struct place *p) {
  /* Connections too: an open socket keeps a deleted namespace alive. */
  for (struct served *s = all, *next; s != NULL; s = next) {
    next = s->next;
    if (s->place == p) served_close(s);
  }
  sctp_stop(p);
}
