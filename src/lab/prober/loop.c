/*
 * One epoll loop. A watch is freed only after the turn in which it was closed, because events of the same turn may
 * still name it.
 */
#define _GNU_SOURCE
#include "prober.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 256 };

static int epoll_fd = -1;
static void **to_free; /* BOUNDED by the watches closed within one turn */
static size_t to_free_count, to_free_room;

static void die(const char *what) {
  fprintf(stderr, "Cannot go on: %s failed: %s\n", what, strerror(errno));
  exit(1);
}

uint64_t now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void control(int operation, struct watch *w, uint32_t events) {
  if (epoll_fd < 0 && (epoll_fd = epoll_create1(EPOLL_CLOEXEC)) < 0) die("epoll_create1");
  struct epoll_event event = {.events = events, .data.ptr = w};
  if (epoll_ctl(epoll_fd, operation, w->fd, &event) == 0) return;
  if (errno == EPERM) { /* a plain file as stdin: always readable, epoll does not take it */
    fprintf(stderr, "Cannot watch descriptor %d: expected a pipe, a socket or a terminal\n", w->fd);
    exit(1);
  }
  die("epoll_ctl");
}

void loop_add(struct watch *w, uint32_t events) { control(EPOLL_CTL_ADD, w, events); }
void loop_change(struct watch *w, uint32_t events) { control(EPOLL_CTL_MOD, w, events); }

void loop_close(struct watch *w) {
  if (w->fd >= 0) close(w->fd);
  w->fd = -1;
}

void loop_free_later(void *memory) {
  if (to_free_count == to_free_room) {
    to_free_room = to_free_room == 0 ? 64 : 2 * to_free_room;
    if ((to_free = realloc(to_free, to_free_room * sizeof *to_free)) == NULL) die("realloc");
  }
  to_free[to_free_count++] = memory;
}

void loop_turn(uint64_t wait_us) {
  struct epoll_event events[EVENTS];
  if (epoll_fd < 0 && (epoll_fd = epoll_create1(EPOLL_CLOEXEC)) < 0) die("epoll_create1");
  int count = epoll_wait(epoll_fd, events, EVENTS, (int)((wait_us + 999) / 1000));
  if (count < 0 && errno != EINTR) die("epoll_wait");
  for (int i = 0; i < count; i++) {
    struct watch *w = events[i].data.ptr;
    if (w->fd >= 0) w->ready(w, events[i].events);
  }
  while (to_free_count > 0) free(to_free[--to_free_count]);
}
