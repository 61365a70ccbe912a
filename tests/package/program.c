#include <rankzero/rankzero.h>
#include <string.h>

int main(void)
{
    struct rz_options options;
    rz_options_init(&options);
    return options.size == sizeof options && strcmp(rz_version(), RZ_VERSION) == 0 ? 0 : 1;
}
