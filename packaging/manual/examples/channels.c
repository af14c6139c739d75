/* Examples of the manual: channels. */
#include <gomax.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* example: gmx_chan_new gmx_chan_send gmx_chan_recv gmx_chan_close gmx_chan_free */
static void produce(void *arg) {
  gmx_chan *squares = arg;
  for (long i = 1; i <= 10; i++) {
    long square = i * i;
    if (gmx_chan_send(squares, &square) != GMX_OK) break; // closed, or canceled
  }
  gmx_chan_close(squares); // the sender closes: no more will come
}

static gmx_status sum_of_squares(long *sum) {
  gmx_chan *squares;
  gmx_waitgroup all = GMX_WAITGROUP_INIT;
  gmx_status status = gmx_chan_new(sizeof(long), 4, &squares); // room for 4
  if (status != GMX_OK) return status;
  status = gmx_waitgroup_go(&all, produce, squares);
  long square;
  while (status == GMX_OK) {
    status = gmx_chan_recv(squares, &square);
    if (status == GMX_OK) *sum += square;
  }
  gmx_chan_close(squares); // after an error of ours: the sender gives up
  gmx_waitgroup_wait(&all); // it has the channel until its end
  gmx_chan_free(squares);
  return status == GMX_ECLOSED ? GMX_OK : status; // closed is how it ends
}
/* end */

int main(void) { return 0; }
