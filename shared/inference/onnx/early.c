// Loading libonnxruntime takes longer than everything else that a function does before its first event: linking it,
// and registering the schemas of all operators when the environment is made. None of it needs Go. So in a Lambda
// function it begins on a thread of its own before Go's runtime starts, and goes on beside the start of Go's
// packages and the first requests to S3. Open waits for it where it would otherwise do the same: in dlopen, whose
// lock is held here, and in CreateEnv, which gives every later caller the environment that is there.
//
// It reports nothing: whatever fails here fails again in Open, which says what and why.

#define _GNU_SOURCE

#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

// The beginnings of OrtApi and OrtApiBase (onnxruntime_c_api.h). Both only ever grow at their ends.
struct api {
  void *create_status, *get_error_code, *get_error_message;
  void *(*create_env)(int level, const char *name, void **env);
};
struct api_base {
  const struct api *(*get_api)(uint32_t version);
};

enum { fatal = 4, first_version = 1 };

// Environment and session are 8 MB of small blocks, and making them spends a third of the time in page faults; on an
// arena of a thread's own glibc would also call mprotect for every page more. So the main heap grows once, before it is
// filled, and in huge pages where the kernel has them. What is there stays in use for as long as the process lives.
//
// Setting a threshold ends glibc's habit of raising it after each large block that is freed; both are set to where it
// would end.
static void grow_heap(void) {
  const size_t wanted = (size_t)14 << 20, huge = (size_t)2 << 20;
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 64 << 20);
  void *volatile block = malloc(wanted);
  if (block == NULL) return;
  uintptr_t first = ((uintptr_t)block + huge - 1) & ~(huge - 1), end = ((uintptr_t)block + wanted) & ~(huge - 1);
  madvise((void *)first, end - first, MADV_HUGEPAGE);
  free(block);
}

static void *load(void *path) {
  void *library = dlopen(path, RTLD_LAZY);
  if (library == NULL) return NULL;
  const struct api_base *(*base)(void) = (const struct api_base *(*)(void))dlsym(library, "OrtGetApiBase");
  if (base == NULL) return NULL;
  const struct api *api = base()->get_api(first_version);
  void *env; // lives as long as the process, as onnxruntime_go's does
  if (api != NULL) (void)api->create_env(fatal, "tidegate", &env);
  return NULL;
}

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("TIDEGATE_ONNXRUNTIME_LIB");
  if (getenv("AWS_LAMBDA_RUNTIME_API") == NULL) return; // not in a function: a program may never need the library
  if (path == NULL || *path == 0) path = "/opt/lib/libonnxruntime.so";
  mallopt(M_ARENA_MAX, 1); // more of them keep more memory, see trim.go
  grow_heap();

  sigset_t all, before; // signals are for Go's threads
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  if (pthread_create(&thread, NULL, load, (void *)path) == 0) pthread_detach(thread);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}
