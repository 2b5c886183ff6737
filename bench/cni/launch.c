/*
 * Starts CNI plugins as a runtime does and says how long each took from exec to exit. In C, because starting processes from
 * Node costs more than the plugin itself does.
 *
 *   launch one|all DIRECTORY FIRST COUNT
 *
 * Job i has DIRECTORY/i.env (NUL-terminated strings; the first is the program, the rest its environment) and DIRECTORY/i.in
 * (standard input); its output goes to DIRECTORY/i.out. `one` runs the jobs one after another, `all` all at once.
 * Prints a line per job, "<exit status> <microseconds>", and last "wall <microseconds> <microseconds of processor
 * time that the jobs took>".
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct job { pid_t pid; double begun, ended; int status; char bytes[65536]; char *environment[64]; };

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static void fail(const char *what) {
  perror(what);
  exit(2);
}

static void load(struct job *job, const char *directory, int index) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%d.env", directory, index);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t length = fd < 0 ? -1 : read(fd, job->bytes, sizeof job->bytes - 1);
  if (length < 0) fail(path);
  close(fd);
  job->bytes[length] = 0;
  int count = 0;
  for (char *p = job->bytes; p < job->bytes + length && count < 63; p += strlen(p) + 1) job->environment[count++] = p;
}

static void start(struct job *job, const char *directory, int index) {
  char in[4096], out[4096], *argv[] = { job->environment[0], NULL };
  posix_spawn_file_actions_t actions;
  snprintf(in, sizeof in, "%s/%d.in", directory, index), snprintf(out, sizeof out, "%s/%d.out", directory, index);
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, in, O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, out, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  job->begun = now();
  if (posix_spawn(&job->pid, argv[0], &actions, NULL, argv, job->environment + 1)) fail(argv[0]);
  posix_spawn_file_actions_destroy(&actions);
}

static void await(struct job *jobs, int count) {
  int status;
  pid_t pid = wait(&status);
  double at = now();
  for (int i = 0; i < count; i++) if (jobs[i].pid == pid) jobs[i].ended = at, jobs[i].status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv) {
  if (argc != 5) return fputs("usage: launch one|all DIRECTORY FIRST COUNT\n", stderr), 2;
  int first = atoi(argv[3]), count = atoi(argv[4]), is_all = !strcmp(argv[1], "all");
  struct job *jobs = calloc(count, sizeof *jobs);
  if (!jobs) fail("calloc");
  for (int i = 0; i < count; i++) load(jobs + i, argv[2], first + i);
  double begun = now();
  for (int i = 0; i < count; i++) {
    start(jobs + i, argv[2], first + i);
    if (!is_all) await(jobs, count);
  }
  if (is_all) for (int i = 0; i < count; i++) await(jobs, count);
  double wall = now() - begun;
  for (int i = 0; i < count; i++) printf("%d %.0f\n", jobs[i].status, jobs[i].ended - jobs[i].begun);
  struct rusage used;
  if (getrusage(RUSAGE_CHILDREN, &used)) fail("getrusage");
  printf("wall %.0f %.0f\n", wall, (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e6 + used.ru_utime.tv_usec + used.ru_stime.tv_usec);
  return 0;
}
