/*
 * Network namespaces. A socket belongs for ever to the namespace its thread was in at socket(2), so a place is entered for
 * exactly that call. The thread stays in the last place entered: the next socket enters its own, and nothing else
 * the program does depends on where it is.
 */
#define _GNU_SOURCE
#include "prober.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct place {
  char name[256];
  int fd;
  struct place *next;
};

static struct place *places; /* BOUNDED by the namespaces the caller names */
static const struct place *current;

static void path_of(const char *text, char *path, size_t bytes) {
  if (strcmp(text, "-") == 0) snprintf(path, bytes, "/proc/self/ns/net");
  else if (strncmp(text, "pid:", 4) == 0) snprintf(path, bytes, "/proc/%ld/ns/net", parse_number(text + 4, 1, 1 << 22));
  else if (strchr(text, '/') != NULL) snprintf(path, bytes, "%s", text);
  else snprintf(path, bytes, "/run/netns/%s", text);
}

struct place *place_of(const char *text, char *error, size_t error_bytes) {
  for (struct place *p = places; p != NULL; p = p->next)
    if (strcmp(p->name, text) == 0) return p;
  /* The first "-" must be opened while the thread still is where it started. */
  if (places == NULL && strcmp(text, "-") != 0 && place_of("-", error, error_bytes) == NULL) return NULL;
  char path[300];
  path_of(text, path, sizeof path);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  struct place *p = fd < 0 ? NULL : calloc(1, sizeof *p);
  if (p == NULL || strlen(text) >= sizeof p->name) {
    snprintf(error, error_bytes, "Cannot open network namespace \"%.100s\": %s", text, strerror(fd < 0 ? errno : ENOMEM));
    if (fd >= 0) close(fd);
    free(p);
    return NULL;
  }
  strcpy(p->name, text);
  p->fd = fd;
  p->next = places;
  places = p;
  return p;
}

const char *place_name(const struct place *p) { return p->name; }

/* The kernel's default holds 250 datagrams: a second without the processor would be told as packets that the network lost. */
static void make_patient(int fd) {
  const int bytes = 8 << 20;
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) != 0) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}

int place_socket(struct place *p, int domain, int type, int protocol) {
  if (p != current) {
    if (setns(p->fd, CLONE_NEWNET) != 0) return -1;
    current = p;
  }
  int fd = socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
  if (fd >= 0 && type == SOCK_DGRAM) make_patient(fd);
  return fd;
}

void place_forget(struct place *p) {
  if (strcmp(p->name, "-") == 0) return;
  for (struct place **at = &places; *at != NULL; at = &(*at)->next) {
    if (*at != p) continue;
    *at = p->next;
    break;
  }
  if (current == p) {
    /* Step out: a thread inside a namespace would keep it alive after it has been deleted. */
    char error[1];
    struct place *home = place_of("-", error, 0);
    current = home != NULL && setns(home->fd, CLONE_NEWNET) == 0 ? home : NULL;
  }
  close(p->fd);
  free(p);
}
