/* Addresses, protocols and port lists as text. Everything here is pure. */
#include "prober.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool parse_endpoint(const char *address, uint16_t port, union endpoint *out) {
  memset(out, 0, sizeof *out);
  if (inet_pton(AF_INET, address, &out->v4.sin_addr) == 1) {
    out->v4.sin_family = AF_INET;
    out->v4.sin_port = htons(port);
    return true;
  }
  if (inet_pton(AF_INET6, address, &out->v6.sin6_addr) != 1) return false;
  out->v6.sin6_family = AF_INET6;
  out->v6.sin6_port = htons(port);
  return true;
}

socklen_t endpoint_size(const union endpoint *e) {
  return e->generic.sa_family == AF_INET ? sizeof e->v4 : sizeof e->v6;
}

bool same_address(const union endpoint *a, const union endpoint *b) {
  if (a->generic.sa_family != b->generic.sa_family) return false;
  return a->generic.sa_family == AF_INET ? a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr
                                         : memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, sizeof a->v6.sin6_addr) == 0;
}

bool parse_protocol(const char *text, enum protocol *out) {
  static const char *const names[] = {"tcp", "udp", "sctp"};
  for (int i = TCP; i <= SCTP; i++)
    if (strcasecmp(text, names[i]) == 0) return *out = (enum protocol)i, true;
  return false;
}

long parse_number(const char *text, long low, long high) {
  if (text[0] < '0' || text[0] > '9') return -1;
  char *end;
  errno = 0;
  long value = strtol(text, &end, 10);
  return *end != '\0' || errno != 0 || value < low || value > high ? -1 : value;
}

bool each_port(const char *list, void (*each)(uint16_t port, void *context), void *context) {
  while (*list != '\0') {
    char *end;
    if (*list < '0' || *list > '9') return false;
    long first = strtol(list, &end, 10), last = first;
    if (*end == '-') last = strtol(end + 1, &end, 10);
    if ((*end != ',' && *end != '\0') || first < 1 || last < first || last > 65535) return false;
    for (long port = first; port <= last; port++) each((uint16_t)port, context);
    list = *end == ',' ? end + 1 : end;
  }
  return true;
}
