/* Every status has a name and a text of its own, and is the negative errno where there is one. */
#include "gs.h"

static const struct {
  gmx_status status;
  const char *name;
  int number; /* the errno that it is the negative of, or the status itself */
} every[] = {
    {GMX_OK, "GMX_OK", 0},
    {GMX_EPERM, "GMX_EPERM", EPERM},
    {GMX_EINTR, "GMX_EINTR", EINTR},
    {GMX_EAGAIN, "GMX_EAGAIN", EAGAIN},
    {GMX_ENOMEM, "GMX_ENOMEM", ENOMEM},
    {GMX_EBUSY, "GMX_EBUSY", EBUSY},
    {GMX_EINVAL, "GMX_EINVAL", EINVAL},
    {GMX_EBADF, "GMX_EBADF", EBADF},
    {GMX_EPIPE, "GMX_EPIPE", EPIPE},
    {GMX_EDEADLK, "GMX_EDEADLK", EDEADLK},
    {GMX_ENOTSUP, "GMX_ENOTSUP", ENOTSUP},
    {GMX_ETIMEDOUT, "GMX_ETIMEDOUT", ETIMEDOUT},
    {GMX_ECANCELED, "GMX_ECANCELED", ECANCELED},
    {GMX_ENOTG, "GMX_ENOTG", 1001},
    {GMX_EINSYSCALL, "GMX_EINSYSCALL", 1002},
    {GMX_ESHUTDOWN, "GMX_ESHUTDOWN", 1003},
    {GMX_ESTALE, "GMX_ESTALE", 1004},
    {GMX_ECLOSED, "GMX_ECLOSED", 1005},
    {GMX_EMSGSIZE, "GMX_EMSGSIZE", EMSGSIZE},
    {GMX_EAI_BADFLAGS, "GMX_EAI_BADFLAGS", 1101},
    {GMX_EAI_NONAME, "GMX_EAI_NONAME", 1102},
    {GMX_EAI_AGAIN, "GMX_EAI_AGAIN", 1103},
    {GMX_EAI_FAIL, "GMX_EAI_FAIL", 1104},
    {GMX_EAI_NODATA, "GMX_EAI_NODATA", 1105},
    {GMX_EAI_FAMILY, "GMX_EAI_FAMILY", 1106},
    {GMX_EAI_SOCKTYPE, "GMX_EAI_SOCKTYPE", 1107},
    {GMX_EAI_SERVICE, "GMX_EAI_SERVICE", 1108},
    {GMX_EAI_ADDRFAMILY, "GMX_EAI_ADDRFAMILY", 1109},
};
enum { EVERY = sizeof every / sizeof every[0] };

static void each_has_number_name_and_text(void) {
  for (int i = 0; i < EVERY; i++) {
    CHECK_EQ(every[i].status, -every[i].number);
    CHECK_STR(gmx_err_name(every[i].status), every[i].name);
    const char *text = gmx_strerror(every[i].status);
    CHECK(text[0] != 0);
    CHECK(strchr(text, '\n') == NULL);
    for (int j = 0; j < i; j++) CHECK(strcmp(text, gmx_strerror(every[j].status)) != 0);
  }
}

/* Each errno has a name and a text of its own, so that a wrapper of system calls can pass it on. */
static void errors_of_the_system_have_names(void) {
  static const struct {
    int number;
    const char *name;
  } some[] = {{ENOENT, "ENOENT"},         {EBADF, "GMX_EBADF"},           {EPIPE, "GMX_EPIPE"},       {ECONNRESET, "ECONNRESET"},
              {ECONNREFUSED, "ECONNREFUSED"}, {EADDRINUSE, "EADDRINUSE"}, {EINPROGRESS, "EINPROGRESS"}, {ENOTRECOVERABLE, "ENOTRECOVERABLE"},
              {ESTALE, "ESTALE"},         {ESHUTDOWN, "ESHUTDOWN"}};
  for (size_t i = 0; i < sizeof some / sizeof *some; i++) CHECK_STR(gmx_err_name(-some[i].number), some[i].name);
  int named = 0;
  for (int e = 1; e < 134; e++) {
    named += strcmp(gmx_err_name(-e), "GMX_EUNKNOWN") != 0;
    CHECK_EQ(strcmp(gmx_err_name(-e), "GMX_EUNKNOWN") == 0, strcmp(gmx_strerror(-e), "unknown status") == 0);
    for (int other = 1; other < e; other++)
      if (strcmp(gmx_err_name(-e), "GMX_EUNKNOWN") != 0) CHECK(strcmp(gmx_strerror(-e), gmx_strerror(-other)) != 0);
  }
  CHECK_CMP(named, >=, 85);
  CHECK(strcmp(gmx_strerror(GMX_ECLOSED), gmx_strerror(GMX_EPIPE)) != 0);
}

static bool known(gmx_status s) {
  for (int i = 0; i < EVERY; i++)
    if (every[i].status == s) return true;
  return false;
}

static void an_unknown_code_is_said_to_be_so(void) {
  for (gmx_status s = -1; s > -2000; s--) {
    if (known(s)) continue;
    /* another error of the system may keep its own name */
    if (s <= -200) CHECK_STR(gmx_err_name(s), "GMX_EUNKNOWN");
    CHECK(gmx_err_name(s)[0] != 0);
    CHECK(gmx_strerror(s)[0] != 0);
  }
  CHECK_STR(gmx_err_name(INT32_MIN), "GMX_EUNKNOWN");
  CHECK(gmx_strerror(INT32_MIN)[0] != 0);
}

/* Functions that return a count return it as a status. */
static void a_count_is_fine(void) {
  CHECK_STR(gmx_err_name(1), "GMX_OK");
  CHECK_STR(gmx_err_name(INT32_MAX), "GMX_OK");
  CHECK_STR(gmx_strerror(7), gmx_strerror(GMX_OK));
}

static const char *seen;

static void look(void *arg) {
  (void)arg;
  CHECK(gmx_strerror(GMX_ESTALE) == seen);
}

/* No buffer of the thread's, which the next call or the next thread would write over. */
static void texts_are_static(void) {
  seen = gmx_strerror(GMX_ESTALE);
  on_thread(look, NULL);
  CHECK_STR(gmx_strerror(-4711), gmx_strerror(-4711));
}

static void asking_starts_nothing(void) {
  CHECK_EQ(gmx_version(), GMX_VERSION);
  await_threads(1);
}

int main(void) {
  RUN(each_has_number_name_and_text);
  RUN(errors_of_the_system_have_names);
  RUN(an_unknown_code_is_said_to_be_so);
  RUN(a_count_is_fine);
  RUN(texts_are_static);
  RUN(asking_starts_nothing);
  return 0;
}
