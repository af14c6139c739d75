/*
 * TLS by OpenSSL, a goroutine for each connection:  tls [CLIENTS]
 *
 * OpenSSL never waits here. Its sockets do not block; where it wants to read or write more, the goroutine parks outside
 * of OpenSSL, in `waits_as_told`, and calls it again. So no goroutine changes its thread in the middle of a call of
 * OpenSSL, whose errors belong to a thread, and none parks while OpenSSL holds a lock.
 *
 * The server has a key and a certificate that it makes at the start, and the clients trust no other. Each client sends
 * lines and gets them back; the first line of the last client is 1 MiB.
 *
 *   cc tls.c -lgomax -lssl -lcrypto && ./a.out
 */
#include <gomax.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define MUST(ok) ((ok) ? (void)0 : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #ok), exit(1)))

enum { LINES = 5, LONG = 1 << 20 };
static const int64_t PATIENCE = 30ll * 1000000000;

/* ---- a connection ---- */

struct conn {
  gmx_poll p;
  SSL *ssl;
};

static struct conn conn_of(gmx_poll p, SSL_CTX *ctx) {
  struct conn c = {p, SSL_new(ctx)};
  int fd = gmx_poll_fd(p);
  MUST(c.ssl && fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == 0 && SSL_set_fd(c.ssl, fd) == 1);
  return c;
}

static void conn_close(struct conn *c) {
  SSL_free(c->ssl);
  MUST(gmx_close(c->p) == GMX_OK);
}

/* After a call of OpenSSL that returned r: waits, if OpenSSL wants that. False: the call is done, or has failed. */
static bool waits_as_told(struct conn *c, int r) {
  uint32_t ready;
  switch (SSL_get_error(c->ssl, r)) {
    case SSL_ERROR_WANT_READ: return gmx_poll_wait(c->p, GMX_POLL_IN, PATIENCE, &ready) == GMX_OK;
    case SSL_ERROR_WANT_WRITE: return gmx_poll_wait(c->p, GMX_POLL_OUT, PATIENCE, &ready) == GMX_OK;
    default: return false;
  }
}

/* A call of OpenSSL on a connection, until it is done. Each begins without errors of others that ran on the thread. */
#define UNTIL_DONE(c, call)                    \
  __extension__({                              \
    int r_;                                    \
    do ERR_clear_error(), r_ = (call);         \
    while (r_ <= 0 && waits_as_told((c), r_)); \
    r_;                                        \
  })

static bool handshake(struct conn *c, int (*call)(SSL *)) { return UNTIL_DONE(c, call(c->ssl)) == 1; }

/* 0: the peer has ended it, or it is broken. */
static int conn_read(struct conn *c, char *text, int room) {
  int n = UNTIL_DONE(c, SSL_read(c->ssl, text, room));
  return n > 0 ? n : 0;
}

static bool conn_write(struct conn *c, const char *text, int n) {
  return n == 0 || UNTIL_DONE(c, SSL_write(c->ssl, text, n)) == n;
}

/* ---- the server ---- */

static SSL_CTX *server_ctx, *client_ctx;
static struct sockaddr_in at;

static void serves(void *arg) {
  struct conn c = conn_of((gmx_poll)(uintptr_t)arg, server_ctx);
  char text[4096];
  int n;
  if (handshake(&c, SSL_accept))
    while ((n = conn_read(&c, text, sizeof text)) > 0 && conn_write(&c, text, n)) continue;
  conn_close(&c);
}

/* OpenSSL uses more stack than a goroutine has by default. */
static const gmx_spawn_opts ROOM = {.struct_size = sizeof ROOM, .stack_size = 128 << 10};

static void accepts(void *arg) {
  gmx_poll listener = (gmx_poll)(uintptr_t)arg, p;
  while (gmx_accept(listener, &p, NULL, NULL, GMX_FOREVER) == GMX_OK)
    MUST(gmx_spawn_with(&ROOM, serves, (void *)(uintptr_t)p, NULL) == GMX_OK);
}

/* ---- the clients ---- */

static gmx_waitgroup clients = GMX_WAITGROUP_INIT;

static void calls(void *arg) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), length = (int)(intptr_t)arg;
  gmx_poll p;
  MUST(fd >= 0 && gmx_poll_open(fd, 0, &p) == GMX_OK);
  MUST(gmx_connect(p, (struct sockaddr *)&at, sizeof at, PATIENCE) == GMX_OK);
  struct conn c = conn_of(p, client_ctx);
  MUST(handshake(&c, SSL_connect));
  char *sent = malloc((size_t)length), *came = malloc((size_t)length);
  MUST(sent && came);
  for (int line = 0; line < LINES; line++) {
    int n = line == 0 ? length : 100;
    for (int i = 0; i < n; i++) sent[i] = (char)(i * 31 + line + n);
    /* The server writes while the client does: more than the sockets hold goes in pieces. */
    for (int done = 0, part; done < n; done += part) {
      part = n - done < 4096 ? n - done : 4096;
      MUST(conn_write(&c, sent + done, part));
      for (int got = 0, more; got < part; got += more) MUST((more = conn_read(&c, came + done + got, part - got)) > 0);
    }
    MUST(memcmp(sent, came, (size_t)n) == 0);
  }
  SSL_shutdown(c.ssl);
  free(sent), free(came);
  conn_close(&c);
  MUST(gmx_waitgroup_done(&clients) == GMX_OK);
}

/* ---- a key and its certificate ---- */

static void make_certificate(void) {
  EVP_PKEY *key = EVP_EC_gen("P-256");
  X509 *cert = X509_new();
  MUST(key && cert && X509_set_version(cert, 2) && ASN1_INTEGER_set(X509_get_serialNumber(cert), 1));
  MUST(X509_gmtime_adj(X509_getm_notBefore(cert), -3600) && X509_gmtime_adj(X509_getm_notAfter(cert), 3600));
  X509_NAME *name = X509_get_subject_name(cert);
  MUST(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost", -1, -1, 0));
  MUST(X509_set_issuer_name(cert, name) && X509_set_pubkey(cert, key) && X509_sign(cert, key, EVP_sha256()));
  server_ctx = SSL_CTX_new(TLS_server_method());
  client_ctx = SSL_CTX_new(TLS_client_method());
  MUST(server_ctx && SSL_CTX_use_certificate(server_ctx, cert) && SSL_CTX_use_PrivateKey(server_ctx, key));
  MUST(client_ctx && X509_STORE_add_cert(SSL_CTX_get_cert_store(client_ctx), cert));
  SSL_CTX_set_verify(client_ctx, SSL_VERIFY_PEER, NULL);
  X509_free(cert);
  EVP_PKEY_free(key);
}

static int count = 100;

static void run(void *arg) {
  (void)arg;
  gmx_poll listener;
  socklen_t size = sizeof at;
  MUST(gmx_listen_tcp("127.0.0.1", "0", NULL, &listener) == GMX_OK);
  MUST(getsockname(gmx_poll_fd(listener), (struct sockaddr *)&at, &size) == 0);
  MUST(gmx_spawn(accepts, (void *)(uintptr_t)listener) == GMX_OK);
  MUST(gmx_waitgroup_add(&clients, count) == GMX_OK);
  for (int i = 0; i < count; i++)
    MUST(gmx_spawn_with(&ROOM, calls, (void *)(intptr_t)(i + 1 < count ? 100 : LONG), NULL) == GMX_OK);
  MUST(gmx_waitgroup_wait(&clients) == GMX_OK);
  MUST(gmx_close(listener) == GMX_OK);
}

int main(int argc, char **argv) {
  if (argc > 1) count = atoi(argv[1]);
  MUST(count > 0 && signal(SIGPIPE, SIG_IGN) != SIG_ERR);
  make_certificate();
  MUST(gmx_main(run, NULL) == GMX_OK);
  SSL_CTX_free(server_ctx);
  SSL_CTX_free(client_ctx);
  printf("%d clients had their lines back\n", count);
  return 0;
}
