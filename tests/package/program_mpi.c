#include <rankzero/mpi.h>

int main(void)
{
    /* Before MPI_Init(), so that the program needs no mpirun. */
    struct rz_options options;
    rz_job *job = 0;
    rz_options_init(&options);
    return rz_open_mpi(MPI_COMM_WORLD, &options, &job, 0) == RZ_E_STATE ? 0 : 1;
}
