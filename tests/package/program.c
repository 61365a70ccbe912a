#include <rankzero/rankzero.h>
#include <string.h>

#ifdef _OPENMP
#error "expected users of a library that uses OpenMP not to be compiled for it"
#endif

int main(void)
{
    struct rz_options options; /* no vocab_size */
    struct rz_error err;
    rz_job *job = 0;
    rz_options_init(&options);
    return options.size == sizeof options && strcmp(rz_version(), RZ_VERSION) == 0 &&
                   rz_open_local(&options, "package", 0, 1, &job, &err) == RZ_E_ARG
               ? 0
               : 1;
}
