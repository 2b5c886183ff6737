/*
 * /opt/cni/bin/tortie: the CNI plugin. It carries one call to the node's agent and its answer back, and knows as little as
 * possible: the agent decodes, validates, works and words the answer (src/cni/exchange.ts). C because an interpreter's start
 * alone would cost ten times a pod's whole set-up.
 *
 * In:   environment CNI_*, the network configuration on standard input (at most 1 MiB); its key "socket" names the agent's
 *       unix socket (default /run/tortie/agent.sock), because several nodes may share a machine.
 * Out:  the answer on standard output; exit 0 for HTTP 200, else 1 with a CNI error object. VERSION needs no agent.
 * Wait: at most 120 s for the agent, whose own waits are shorter. An agent that is being restarted is waited for by ADD and STATUS, 20 s:
 *       for the kubelet one bad STATUS makes the node NotReady, and one of which it hears nothing does after 30 s. Without an agent, while
 *       its pod is made anew, are 2 to 6 s, and up to 11 on a machine with ten times the work it can do. Nothing that an agent has
 *       taken in is repeated, but STATUS: the runtime does that.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include "plugin.h"

#define MAX_ANSWER (4 * 1024 * 1024)
#define WAIT_SECONDS 120
#define RESTART_SECONDS 20
#define DEFAULT_SOCKET "/run/tortie/agent.sock"

extern char **environ;
static int write_all(int fd, const char *bytes, size_t length) {
  for (size_t done = 0; done < length;) {
    ssize_t n = send(fd, bytes + done, length - done, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -1;
    done += n;
  }
  return 0;
}

static int send_call(int fd, const char *input, size_t length) {
  size_t size = 1;
  for (char **e = environ; *e; e++) if (!strncmp(*e, "CNI_", 4)) size += strlen(*e) + 1;
  char *request = malloc(256 + size + length);
  if (!request) return -1;
  char *p = request + sprintf(request, "POST /v1/cni HTTP/1.1\r\nHost: tortie\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n", size + length);
  for (char **e = environ; *e; e++) if (!strncmp(*e, "CNI_", 4)) p = stpcpy(p, *e) + 1;
  *p++ = 0;
  memcpy(p, input, length);
  return write_all(fd, request, p + length - request);
}

static time_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec;
}

/* How long an agent that does not listen is waited for: not at all where its directory is missing, for then none was ever started. */
static time_t restart_wait(const char *path) {
  const char *set = getenv("TORTIE_CNI_RESTART_WAIT"), *slash = strrchr(path, '/');
  char directory[sizeof ((struct sockaddr_un *) 0)->sun_path];
  if (set) return atoi(set);
  if (!slash || slash == path) return RESTART_SECONDS;
  snprintf(directory, sizeof directory, "%.*s", (int) (slash - path), path);
  return access(directory, F_OK) == 0 ? RESTART_SECONDS : 0;
}

/* A connection to the agent, tried again while nobody listens there; -1 with errno. */
static int connect_agent(const char *path, time_t until) {
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  struct timeval wait = { .tv_sec = WAIT_SECONDS };
  struct timespec pause = { .tv_nsec = 50 * 1000 * 1000 };
  strcpy(address.sun_path, path);
  for (;;) {
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait), setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    if (connect(fd, (struct sockaddr *) &address, sizeof address) == 0) return fd;
    int error = errno;
    close(fd), errno = error;
    if ((error != ENOENT && error != ECONNREFUSED) || now() >= until) return -1;
    nanosleep(&pause, NULL);
  }
}

int main(void) {
  const char *command = getenv("CNI_COMMAND");
  char *input = malloc(MAX_INPUT + 2), *answer = malloc(MAX_ANSWER + 1), path[sizeof ((struct sockaddr_un *) 0)->sun_path] = DEFAULT_SOCKET;
  if (!input || !answer) return fail(5, "Cannot run the CNI plugin", NULL, strerror(ENOMEM));
  if (!command) {
    fputs("tortie: the CNI plugin of Tortie, versions 0.3.0 to 1.1.0; a container runtime runs it, see https://cni.dev\n", stderr);
    return fail(4, "Cannot use the environment", NULL, "CNI_COMMAND is missing: expected one of ADD, DEL, CHECK, STATUS, GC, VERSION");
  }
  ssize_t length = read_input(input);
  if (length < 0) return 1;
  if (!strcmp(command, "VERSION")) {
    printf("{\"cniVersion\":\"%s\",\"supportedVersions\":[\"0.3.0\",\"0.3.1\",\"0.4.0\",\"1.0.0\",\"1.1.0\"]}\n", version);
    return 0;
  }
  if (find_text(input, "socket", path, sizeof path) < 0) return fail(7, "Cannot use the network configuration", "socket", "expected a path of at most 107 bytes");

  int is_status = !strcmp(command, "STATUS");
  int is_waiting = is_status || !strcmp(command, "ADD");
  time_t until = now() + (is_waiting ? restart_wait(path) : 0);
  ssize_t got;
  do {
    int fd = connect_agent(path, until);
    if (fd < 0) {
      char why[256];
      snprintf(why, sizeof why, "%s; is \"tortie agent\" running on this node, with that socket?", strerror(errno));
      return fail(is_status ? 50 : errno == EACCES || errno == EPERM ? 5 : 11, "Cannot reach the Tortie agent at", path, why);
    }
    /* A refusal may come before all is sent: what the agent says counts more than that it stopped listening. */
    if (send_call(fd, input, length) < 0 && errno != EPIPE && errno != ECONNRESET) return fail(11, "Cannot send the call to the Tortie agent at", path, strerror(errno));
    got = read_all(fd, answer, MAX_ANSWER);
    if (got < 0 && errno != ECONNRESET) return fail(11, "Cannot hear the Tortie agent at", path, errno == EAGAIN ? "it gave no answer in 120 s" : strerror(errno));
    close(fd);
  } while (is_status && got <= 0 && now() < until);
  if (got < 0) return fail(11, "Cannot hear the Tortie agent at", path, strerror(ECONNRESET));
  int status = 0;
  char *body = strstr(answer, "\r\n\r\n"), *header = strcasestr(answer, "\r\ncontent-length:");
  if (sscanf(answer, "HTTP/1.1 %d", &status) != 1 || !body || !header || header > body || answer + got - (body + 4) != strtol(header + 17, NULL, 10))
    return fail(11, "Cannot hear the Tortie agent at", path, got == 0 ? "it ended the connection without an answer; it may have been restarted" : "its answer is cut short");
  if (status != 200 && status != 422) return fail(5, "Cannot use the answer at", path, "whoever has that socket is not the Tortie agent");
  return fputs(body + 4, stdout) < 0 || fflush(stdout) ? 1 : status == 200 ? 0 : 1;
}
