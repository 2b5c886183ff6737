/*
 * The asking side: many probes at once, each one flow from a port not used before, each ending in one line on stdout.
 *
 * A probe that hears nothing is a drop, and how long is "nothing"? With `want` unknown: the time-out. For a target expected to
 * be dropped: a short quiet time, stretched while answers that are expected are still under way, because on a busy
 * machine a leaked answer would be as late as they are.
 */
#define _GNU_SOURCE
#include "prober.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FIRST_PORT = 20000, LAST_PORT = 60999, TICK_US = 5000, REPEAT_US = 200000 };

struct probe {
  struct watch watch;
  struct sctp_probe sctp;
  char id[256], source[64];
  struct place *from;
  enum protocol protocol;
  enum want want;
  union endpoint to;
  uint64_t started_us, repeated_us;
  bool is_flying, is_open, is_done;
  struct probe *next;
};

static struct {
  struct probe *first, **last; /* BOUNDED by the targets the caller names */
  unsigned flying, awaited;    /* in flight; not yet settled with want allow */
  uint64_t slowest_us, settled_us;
} batch = {.last = &batch.first};

struct probe_limits probe_default_limits(void) { return (struct probe_limits){1000000, 250000, 2000}; }

uint16_t fresh_port(void) {
  static unsigned next;
  if (next == 0) next = FIRST_PORT + (unsigned)(now_us() / 1000 * 7919 % (LAST_PORT - FIRST_PORT));
  if (++next > LAST_PORT) next = FIRST_PORT;
  return (uint16_t)next;
}

/* A stream keeps hundreds of ports in a row, and several may run in one place: another has to get past them all. */
enum { MOST_TAKEN_PORTS = 8192 };

bool bind_fresh(int fd, const char *source, int family, union endpoint *bound) {
  const char *address = strcmp(source, "-") != 0 ? source : family == AF_INET ? "0.0.0.0" : "::";
  for (int attempt = 0; attempt < MOST_TAKEN_PORTS; attempt++) {
    if (!parse_endpoint(address, fresh_port(), bound)) return errno = EINVAL, false;
    if (bind(fd, &bound->generic, endpoint_size(bound)) == 0) return true;
    if (errno != EADDRINUSE) return false;
  }
  return false;
}

void probe_add(const char *id, struct place *from, enum protocol protocol, const char *source, const union endpoint *to, enum want want) {
  struct probe *p = calloc(1, sizeof *p);
  if (p == NULL || strlen(id) >= sizeof p->id || strlen(source) >= sizeof p->source) {
    printf("%.100s\terror\tCannot queue the target: its id or source is too long, or memory is short\n", id);
    free(p);
    return;
  }
  strcpy(p->id, id);
  strcpy(p->source, source);
  p->from = from;
  p->protocol = protocol;
  p->to = *to;
  p->want = want;
  p->watch.fd = -1;
  *batch.last = p;
  batch.last = &p->next;
  if (want == WANT_ALLOW) batch.awaited++;
}

static void settle(struct probe *p, const char *verdict, const char *detail) {
  if (p->is_done) return;
  uint64_t now = now_us();
  p->is_done = true;
  printf("%s\t%s", p->id, verdict);
  if (strcmp(verdict, "allow") == 0) printf("\t%s\t%llu\n", detail, (unsigned long long)(now - p->started_us));
  else if (detail[0] != '\0') printf("\t%s\n", detail);
  else putchar('\n');
  if (p->want == WANT_ALLOW) {
    if (now - p->started_us > batch.slowest_us) batch.slowest_us = now - p->started_us;
    batch.settled_us = now;
    batch.awaited--;
  }
  if (p->is_flying) batch.flying--;
  if (p->protocol == SCTP) sctp_forget(p->from, &p->sctp);
  if (p->watch.fd >= 0) {
    /* A reset instead of the four-way close: no TIME_WAIT, no conntrack entry that lingers. */
    const struct linger hard = {1, 0};
    if (p->protocol == TCP) setsockopt(p->watch.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    loop_close(&p->watch);
  }
}

static void settle_errno(struct probe *p, int reason) {
  if (reason == ECONNREFUSED || reason == ECONNRESET) settle(p, "refused", "");
  else if (reason == ETIMEDOUT) settle(p, "drop", "");
  else if (reason == EHOSTUNREACH || reason == ENETUNREACH || reason == EACCES || reason == EPERM || reason == ENOPROTOOPT)
    settle(p, "unreachable", strerror(reason));
  else settle(p, "error", strerror(reason));
}

/* "NAME\n..." -> NAME */
static void settle_allowed(struct probe *p, char *bytes, size_t length) {
  char *end = memchr(bytes, '\n', length);
  if (end == NULL || end == bytes) settle(p, "allow", "-");
  else *end = '\0', settle(p, "allow", bytes);
}

static void tcp_ready(struct watch *w, uint32_t events) {
  struct probe *p = (struct probe *)w;
  if (!p->is_open) {
    int reason = 0;
    socklen_t size = sizeof reason;
    getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &reason, &size);
    if (reason != 0) return settle_errno(p, reason);
    if (!(events & EPOLLOUT)) return;
    p->is_open = true;
    loop_change(w, EPOLLIN);
  }
  char bytes[NAME_BYTES + 1];
  ssize_t n = read(w->fd, bytes, sizeof bytes);
  if (n >= 0) settle_allowed(p, bytes, (size_t)n);
  else if (errno != EAGAIN && errno != EINTR) settle_errno(p, errno);
}

static void udp_ready(struct watch *w, uint32_t events) {
  (void)events;
  struct probe *p = (struct probe *)w;
  char bytes[DATAGRAM_BYTES];
  ssize_t n = recv(w->fd, bytes, sizeof bytes, 0);
  if (n >= 0) settle_allowed(p, bytes, (size_t)n);
  else if (errno != EAGAIN && errno != EINTR) settle_errno(p, errno);
}

static void sctp_answered(struct sctp_probe *s, const char *name) {
  settle((struct probe *)((char *)s - offsetof(struct probe, sctp)), "allow", name);
}

static void start_sctp(struct probe *p) {
  char error[256];
  p->sctp.answered = sctp_answered;
  p->sctp.remote = p->to;
  const char *any = p->to.generic.sa_family == AF_INET ? "0.0.0.0" : "::";
  if (!parse_endpoint(strcmp(p->source, "-") == 0 ? any : p->source, fresh_port(), &p->sctp.local)) return settle_errno(p, EINVAL);
  if (!sctp_send_init(p->from, &p->sctp, error, sizeof error)) settle(p, "unreachable", error);
}

static void start_socket(struct probe *p) {
  static const char payload[] = "tortie-prober";
  union endpoint bound;
  int family = p->to.generic.sa_family;
  p->watch.fd = place_socket(p->from, family, p->protocol == TCP ? SOCK_STREAM : SOCK_DGRAM, 0);
  if (p->watch.fd < 0) return settle_errno(p, errno);
  if (!bind_fresh(p->watch.fd, p->source, family, &bound)) return settle_errno(p, errno);
  if (connect(p->watch.fd, &p->to.generic, endpoint_size(&p->to)) != 0 && errno != EINPROGRESS) return settle_errno(p, errno);
  p->watch.ready = p->protocol == TCP ? tcp_ready : udp_ready;
  loop_add(&p->watch, p->protocol == TCP ? EPOLLOUT | EPOLLIN : EPOLLIN);
  if (p->protocol == UDP && send(p->watch.fd, payload, sizeof payload - 1, 0) < 0) settle_errno(p, errno);
}

static void start(struct probe *p) {
  p->is_flying = true;
  batch.flying++;
  p->started_us = p->repeated_us = now_us();
  if (p->protocol == SCTP) start_sctp(p);
  else start_socket(p);
}

/* UDP and SCTP have nobody below who repeats a lost packet; TCP has its own retransmission. */
static void repeat(struct probe *p, uint64_t now) {
  char error[256];
  if (p->protocol == TCP || now - p->repeated_us < REPEAT_US) return;
  p->repeated_us = now;
  if (p->protocol == SCTP && !sctp_send_init(p->from, &p->sctp, error, sizeof error)) settle(p, "unreachable", error);
  if (p->protocol == UDP && send(p->watch.fd, "tortie-prober", 13, 0) < 0) settle_errno(p, errno);
}

static bool is_overdue(const struct probe *p, const struct probe_limits *limits, uint64_t now) {
  uint64_t flown = now - p->started_us;
  if (flown >= limits->timeout_us) return true;
  if (p->want != WANT_DROP || flown < limits->quiet_us || batch.awaited > 0) return false;
  return now >= batch.settled_us + 2 * batch.slowest_us;
}

static void check_times(const struct probe_limits *limits) {
  uint64_t now = now_us();
  for (struct probe *p = batch.first; p != NULL; p = p->next) {
    if (!p->is_flying || p->is_done) continue;
    if (is_overdue(p, limits, now)) {
      if (p->is_open) settle(p, "allow", "-");
      else settle(p, "drop", "");
    } else repeat(p, now);
  }
}

void probe_run(const struct probe_limits *limits) {
  struct probe *waiting = batch.first;
  uint64_t ticked_us = 0;
  while (waiting != NULL || batch.flying > 0) {
    for (int burst = 0; burst < 64 && waiting != NULL && batch.flying < limits->window; burst++, waiting = waiting->next) start(waiting);
    loop_turn(waiting != NULL && batch.flying < limits->window ? 0 : TICK_US);
    if (now_us() - ticked_us < TICK_US) continue;
    check_times(limits);
    ticked_us = now_us();
  }
  for (struct probe *p = batch.first, *next; p != NULL; p = next) {
    next = p->next;
    loop_free_later(p);
  }
  batch.first = NULL;
  batch.last = &batch.first;
  batch.awaited = 0;
  batch.slowest_us = batch.settled_us = 0;
  fflush(stdout);
}
