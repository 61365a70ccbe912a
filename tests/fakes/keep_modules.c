/* SPDX-License-Identifier: Apache-2.0
 *
 * keep_modules.c - in programs under AddressSanitizer, modules stay loaded until the end.
 *
 * OpenMPI unloads its plugins in MPI_Finalize(). What they leave behind could then no longer be
 * told from leaks of ours: the stacks that the leak checker shows at exit would have no names.
 */
__attribute__((visibility("default"))) int dlclose(void *module);

int dlclose(void *module)
{
    (void)module;
    return 0;
}
