/*
 * How fast: requests on one open TCP connection (rr), or new TCP connections one after the other (crr), as many as go in
 * a given time. Blocking and alone in its process, so that what is measured is the path and not a scheduler.
 */
#define _GNU_SOURCE
#include "prober.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A connected, blocking socket that has read the server's name; -1 and errno. */
static int open_connection(const struct rate_plan *plan) {
  const int on = 1;
  union endpoint bound;
  const struct timeval limit = {5, 0};
  int family = plan->to.generic.sa_family;
  int fd = place_socket(plan->from, family, SOCK_STREAM, 0);
  if (fd < 0) return -1;
  fcntl(fd, F_SETFL, 0);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  char name[NAME_BYTES + 1];
  if (bind_fresh(fd, plan->source, family, &bound) && connect(fd, &plan->to.generic, endpoint_size(&plan->to)) == 0 && read(fd, name, sizeof name) > 0) return fd;
  int reason = errno;
  close(fd);
  errno = reason;
  return -1;
}

/* A reset instead of the four-way close: no TIME_WAIT that would slow the next ones. */
static void drop_connection(int fd) {
  const struct linger hard = {1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  close(fd);
}

static bool exchange(int fd) {
  char byte = 'x';
  return write(fd, &byte, 1) == 1 && read(fd, &byte, 1) == 1;
}

int rate(const struct rate_plan *plan) {
  uint64_t count = 0, start = now_us(), end = start + plan->duration_us;
  int fd = plan->connects ? -1 : open_connection(plan);
  bool ok = plan->connects || fd >= 0;
  while (ok && now_us() < end) {
    if (plan->connects) {
      int one = open_connection(plan);
      ok = one >= 0;
      if (ok) drop_connection(one);
    } else ok = exchange(fd);
    if (ok) count++;
  }
  if (!ok) {
    fprintf(stderr, "Cannot measure: %s after %llu exchanges\n", strerror(errno), (unsigned long long)count);
    return 1;
  }
  double seconds = (double)(now_us() - start) / 1e6;
  printf("{\"kind\":\"%s\",\"count\":%llu,\"seconds\":%.3f,\"perSecond\":%.1f}\n", plan->connects ? "crr" : "rr", (unsigned long long)count, seconds, (double)count / seconds);
  return 0;
}
