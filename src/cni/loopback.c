/*
 * /opt/cni/bin/loopback: brings `lo` of a container's network namespace up. containerd and CRI-O call it for every sandbox, and none starts without;
 * a bare node has none. The same contract as containernetworking's plugin of that name.
 *
 * ADD:    lo up; the result names lo with 127.0.0.1/8 and ::1/128 as far as it has them, or is the result of the plugin before it.
 * DEL:    lo down; a namespace that is gone is nothing wrong.       CHECK: lo is up.       STATUS, GC: nothing to do.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "plugin.h"

/* By it an installed one is known as ours. */
static const char *MARK = "loopback: the CNI plugin that comes with Tortie, versions 0.1.0 to 1.1.0; see https://cni.dev";

/* Enters the namespace; -1 with errno. */
static int enter(const char *path) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  int result = setns(fd, CLONE_NEWNET), error = errno;
  close(fd), errno = error;
  return result;
}

/* Flags of lo, changed by what is set and cleared; -1 with errno. */
static int change(int set, int clear) {
  struct ifreq request = { .ifr_name = "lo" };
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), result = -1;
  if (fd < 0) fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  if (ioctl(fd, SIOCGIFFLAGS, &request) == 0) {
    request.ifr_flags = (request.ifr_flags | set) & ~clear;
    result = set == 0 && clear == 0 ? request.ifr_flags : ioctl(fd, SIOCSIFFLAGS, &request);
  }
  int error = errno;
  close(fd), errno = error;
  return result;
}

/* The object that is the value of a key of the outermost object, as it stands there; NULL if it has none. `*length` is its length. */
static const char *find_object(const char *json, const char *key, size_t *length) {
  int depth = 0, is_string = 0, is_key = 0, is_wanted = 0;
  const char *text = NULL, *begin = NULL;
  for (const char *p = json; *p; p++) {
    if (is_string) {
      if (*p == '\\' && p[1]) p++;
      else if (*p == '"') {
        is_string = 0;
        if (depth == 1 && is_key) is_wanted = (size_t) (p - text) == strlen(key) && !memcmp(text, key, p - text);
      }
    } else if (*p == '"') is_string = 1, text = p + 1;
    else if (*p == '{' || *p == '[') {
      if (depth == 1 && is_wanted && *p == '{') begin = p;
      is_key = ++depth == 1 && *p == '{';
    } else if (*p == '}' || *p == ']') {
      if (--depth == 1 && begin) return *length = p + 1 - begin, begin;
    } else if (*p == ',' && depth == 1) is_key = 1, is_wanted = 0;
    else if (*p == ':' && depth == 1) is_key = 0;
  }
  return NULL;
}

static int has_address(int family) {
  struct ifaddrs *all, *one;
  int found = 0;
  if (getifaddrs(&all) < 0) return 0;
  for (one = all; one; one = one->ifa_next)
    found |= !strcmp(one->ifa_name, "lo") && one->ifa_addr && one->ifa_addr->sa_family == family;
  freeifaddrs(all);
  return found;
}

static void print_result(const char *input, const char *netns) {
  size_t length;
  const char *previous = find_object(input, "prevResult", &length);
  if (previous) {
    printf("%.*s\n", (int) length, previous);
    return;
  }
  int has4 = has_address(AF_INET), has6 = has_address(AF_INET6), is_old = !strncmp(version, "0.1.", 4) || !strncmp(version, "0.2.", 4);
  int names_family = !strncmp(version, "0.", 2);
  printf("{\"cniVersion\":\"%s\"", version);
  if (is_old) {
    if (has4) printf(",\"ip4\":{\"ip\":\"127.0.0.1/8\"}");
    if (has6) printf(",\"ip6\":{\"ip\":\"::1/128\"}");
  } else {
    printf(",\"interfaces\":[{\"name\":\"lo\",\"mac\":\"00:00:00:00:00:00\",\"sandbox\":\""), print_escaped(netns), printf("\"}],\"ips\":[");
    if (has4) printf("{%s\"interface\":0,\"address\":\"127.0.0.1/8\"}", names_family ? "\"version\":\"4\"," : "");
    if (has4 && has6) putchar(',');
    if (has6) printf("{%s\"interface\":0,\"address\":\"::1/128\"}", names_family ? "\"version\":\"6\"," : "");
    putchar(']');
  }
  puts(",\"dns\":{}}");
}

int main(void) {
  const char *command = getenv("CNI_COMMAND"), *netns = getenv("CNI_NETNS");
  char *input = malloc(MAX_INPUT + 2);
  if (!input) return fail(5, "Cannot run the loopback plugin", NULL, strerror(ENOMEM));
  if (!command) {
    fprintf(stderr, "%s\n", MARK);
    return fail(4, "Cannot use the environment", NULL, "CNI_COMMAND is missing: expected one of ADD, DEL, CHECK, STATUS, GC, VERSION");
  }
  if (read_input(input) < 0) return 1;
  if (!strcmp(command, "VERSION")) {
    printf("{\"cniVersion\":\"%s\",\"supportedVersions\":[\"0.1.0\",\"0.2.0\",\"0.3.0\",\"0.3.1\",\"0.4.0\",\"1.0.0\",\"1.1.0\"]}\n", version);
    return 0;
  }
  if (!strcmp(command, "STATUS") || !strcmp(command, "GC")) return 0;
  int is_del = !strcmp(command, "DEL"), is_add = !strcmp(command, "ADD");
  if (!is_del && !is_add && strcmp(command, "CHECK")) return fail(4, "Cannot use CNI_COMMAND", command, "expected one of ADD, DEL, CHECK, STATUS, GC, VERSION");
  if (!netns || !*netns) return is_del ? 0 : fail(4, "Cannot use the environment", NULL, "CNI_NETNS is missing: expected the path of the container's network namespace");
  if (enter(netns) < 0) return is_del && (errno == ENOENT || errno == EINVAL) ? 0 : fail(errno == ENOENT ? 3 : 5, "Cannot enter the network namespace", netns, strerror(errno));
  if (is_del) return change(0, IFF_UP) < 0 ? fail(5, "Cannot set down the interface", "lo", strerror(errno)) : 0;
  if (is_add && change(IFF_UP, 0) < 0) return fail(5, "Cannot set up the interface", "lo", strerror(errno));
  int flags = change(0, 0);
  if (flags < 0 || !(flags & IFF_UP)) return fail(5, "Cannot find the loopback interface as it should be", "lo", flags < 0 ? strerror(errno) : "it is down; expected it up, as ADD left it");
  if (is_add) print_result(input, netns);
  return fflush(stdout) ? 1 : 0;
}
