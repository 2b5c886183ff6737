/*
 * A steady flow and what became of it: how many came back, and the longest time without an answer. That is how an outage is
 * measured that is shorter than any reachability probe would notice.
 */
#define _GNU_SOURCE
#include "prober.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RECORD = 24, CONNECT_MS = 5000, LINGER_US = 1000000, LINGER_TICK_US = 10000, FRESH_SOCKETS = 512 };

static volatile sig_atomic_t is_stopped;
static bool is_traced;

static struct {
  uint64_t sent, received, longest_gap_us, max_rtt_us, last_us;
  int error;
} tally;

static void on_signal(int number) {
  (void)number;
  is_stopped = 1;
}

/* A record is "#", the send time in microseconds as 22 digits, and a newline: it survives any split or merge by TCP. */
static void write_record(char *record) {
  char text[RECORD + 1];
  snprintf(text, sizeof text, "#%022llu\n", (unsigned long long)now_us());
  memcpy(record, text, RECORD);
}

static void take_record(const char *record) {
  uint64_t now = now_us(), sent = strtoull(record + 1, NULL, 10), rtt = now - sent;
  if (is_traced) printf("%llu\t%llu\n", (unsigned long long)sent, (unsigned long long)rtt);
  tally.received++;
  if (rtt > tally.max_rtt_us) tally.max_rtt_us = rtt;
  if (now - tally.last_us > tally.longest_gap_us) tally.longest_gap_us = now - tally.last_us;
  tally.last_us = now;
}

/* One state machine for both protocols: skips the server's name, collects records byte by byte. */
struct flow {
  struct watch watch;
  char record[RECORD];
  size_t length;
};

static void flow_ready(struct watch *w, uint32_t events) {
  (void)events;
  struct flow *f = (struct flow *)w;
  char bytes[DATAGRAM_BYTES];
  ssize_t n = read(w->fd, bytes, sizeof bytes);
  if (n == 0 && tally.error == 0) tally.error = ECONNRESET;
  if (n < 0 && errno != EAGAIN && errno != EINTR) tally.error = errno;
  for (ssize_t i = 0; i < n; i++) {
    if (f->length == 0 && bytes[i] != '#') continue;
    f->record[f->length++] = bytes[i];
    if (f->length < RECORD) continue;
    take_record(f->record);
    f->length = 0;
  }
}

static bool open_flow(struct flow *f, const struct stream_plan *plan) {
  union endpoint bound;
  int family = plan->to.generic.sa_family;
  *f = (struct flow){.watch = {.fd = place_socket(plan->from, family, plan->protocol == TCP ? SOCK_STREAM : SOCK_DGRAM, 0), .ready = flow_ready}};
  if (f->watch.fd < 0 || !bind_fresh(f->watch.fd, plan->source, family, &bound)) return false;
  if (connect(f->watch.fd, &plan->to.generic, endpoint_size(&plan->to)) != 0 && errno != EINPROGRESS) return false;
  loop_add(&f->watch, EPOLLIN);
  return true;
}

/* Sends one record on the next flow: the only one, or with --fresh a new one in place of the oldest. */
static void send_record(struct flow *flows, const struct stream_plan *plan) {
  char record[RECORD];
  struct flow *f = plan->fresh ? &flows[tally.sent % FRESH_SOCKETS] : flows;
  tally.sent++;
  if (plan->fresh) {
    loop_close(&f->watch);
    /* Written anyway, it would say that it has no destination, and not why. */
    if (!open_flow(f, plan)) {
      tally.error = errno;
      return;
    }
  }
  write_record(record);
  if (f->watch.fd >= 0 && write(f->watch.fd, record, RECORD) != RECORD && errno != EAGAIN) tally.error = errno;
}

static void print_tally(void) {
  uint64_t silent = now_us() - tally.last_us;
  if (tally.received < tally.sent && silent > LINGER_US && silent - LINGER_US > tally.longest_gap_us) tally.longest_gap_us = silent - LINGER_US;
  printf("{\"sent\":%llu,\"received\":%llu,\"lost\":%llu,\"longestGapMs\":%llu,\"maxRttUs\":%llu,\"error\":\"%s\"}\n",
         (unsigned long long)tally.sent, (unsigned long long)tally.received, (unsigned long long)(tally.sent - tally.received),
         (unsigned long long)(tally.longest_gap_us / 1000), (unsigned long long)tally.max_rtt_us,
         tally.error == 0 ? "" : strerror(tally.error));
  fflush(stdout);
}

/* Waits for the handshake, so that its duration is not counted as loss. UDP is writable at once. */
static bool is_connected(int fd) {
  struct pollfd writable = {.fd = fd, .events = POLLOUT};
  int reason = 0;
  socklen_t size = sizeof reason;
  if (poll(&writable, 1, CONNECT_MS) == 0) return errno = ETIMEDOUT, false;
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &reason, &size);
  return (errno = reason) == 0;
}

int stream(const struct stream_plan *plan) {
  static struct flow flows[FRESH_SOCKETS];
  for (int i = 0; i < FRESH_SOCKETS; i++) flows[i].watch.fd = -1;
  is_traced = plan->trace;
  signal(SIGTERM, on_signal);
  signal(SIGINT, on_signal);
  if (!plan->fresh && (!open_flow(flows, plan) || !is_connected(flows->watch.fd))) {
    fprintf(stderr, "Cannot open the stream: %s\n", strerror(errno));
    return 1;
  }
  puts("started");
  fflush(stdout);
  uint64_t start = now_us(), due = start;
  tally.last_us = start;
  while (!is_stopped && now_us() - start < plan->duration_us) {
    while (now_us() >= due) {
      send_record(flows, plan);
      due += plan->interval_us;
    }
    uint64_t now = now_us();
    loop_turn(due > now ? due - now : 0);
  }
  uint64_t last_sent = now_us();
  while (tally.received < tally.sent && now_us() - last_sent < LINGER_US) loop_turn(LINGER_TICK_US);
  print_tally();
  return 0;
}
