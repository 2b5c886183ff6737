/* What both plugins (client.c, loopback.c) share: errors in the specification's form, and the network configuration as far as they look at it. */
#define MAX_INPUT (1024 * 1024)

static char version[16] = "1.1.0";

static void print_escaped(const char *text) {
  for (; *text; text++) {
    unsigned char c = *text;
    if (c == '"' || c == '\\') printf("\\%c", c);
    else if (c < 0x20) printf("\\u%04x", c);
    else putchar(c);
  }
}

/* Codes of the CNI specification: 4 environment, 5 I/O, 6 decoding, 11 try again later, 50 not available. */
static int fail(int code, const char *what, const char *subject, const char *why) {
  printf("{\"cniVersion\":\"%s\",\"code\":%d,\"msg\":\"", version, code);
  print_escaped(what);
  if (subject) printf(" \\\""), print_escaped(subject), printf("\\\"");
  printf(": "), print_escaped(why), puts("\"}");
  return 1;
}

/* Copies the text value of a key of the outermost object; 0 if it has none, -1 if it does not fit. Escapes are kept as they are. */
static int find_text(const char *json, const char *key, char *out, size_t size) {
  int depth = 0, is_key = 0, is_wanted = 0;
  for (const char *p = json; *p; p++) {
    if (*p == '{' || *p == '[') is_key = ++depth == 1 && *p == '{';
    else if (*p == '}' || *p == ']') depth--;
    else if (*p == ',' && depth == 1) is_key = 1, is_wanted = 0;
    else if (*p == ':' && depth == 1) is_key = 0;
    else if (*p == '"') {
      const char *start = ++p;
      while (*p && *p != '"') p += *p == '\\' && p[1] ? 2 : 1;
      if (!*p) return 0;
      size_t length = p - start;
      if (depth == 1 && is_key) is_wanted = length == strlen(key) && !memcmp(start, key, length);
      else if (depth == 1 && is_wanted) {
        if (length >= size) return -1;
        memcpy(out, start, length), out[length] = 0;
        return 1;
      }
    }
  }
  return 0;
}

/* Reads until the end or the limit; the number of bytes, or -1. The buffer gets a closing NUL. */
static ssize_t read_all(int fd, char *buffer, size_t limit) {
  size_t got = 0;
  while (got < limit) {
    ssize_t n = read(fd, buffer + got, limit - got);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -1;
    if (n == 0) break;
    got += n;
  }
  buffer[got] = 0;
  return got;
}

/* Standard input, which has to hold MAX_INPUT + 2 bytes, and from it the version to answer in. -1: it was said why. */
static ssize_t read_input(char *input) {
  ssize_t length = read_all(0, input, MAX_INPUT + 1);
  if (length < 0) return fail(5, "Cannot read the network configuration", NULL, strerror(errno)), -1;
  if (length > MAX_INPUT) return fail(6, "Cannot read the network configuration", NULL, "it has more than 1048576 bytes"), -1;
  char asked[sizeof version];
  if (find_text(input, "cniVersion", asked, sizeof asked) == 1 && strspn(asked, "0123456789.") == strlen(asked)) strcpy(version, asked);
  return length;
}
