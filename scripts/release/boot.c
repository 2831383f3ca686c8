/* Starts Python with the modules that lie in the executable as a zip archive, and nothing of the host's.
 *
 * Variables such as PYTHONPATH are ignored, so that a host's Python never mixes with this one.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <dlfcn.h>

/* Not the path of the executable: an update puts another file there while this process still imports. */
#define MODULES L"/proc/self/exe"
#define START "import bundle_start\nbundle_start.main()\n"

static PyObject *load_library(PyObject *module, PyObject *arguments)
{
    const char *path;
    (void)module;
    if (!PyArg_ParseTuple(arguments, "s", &path))
        return NULL;
    if (dlopen(path, RTLD_NOW | RTLD_LOCAL) == NULL)
        return PyErr_Format(PyExc_ImportError, "%s", dlerror());
    Py_RETURN_NONE;
}

static PyMethodDef FUNCTIONS[] = {
    {"load_library", load_library, METH_VARARGS, "Load a shared library, for modules that need it by its name."},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, "_bundle", NULL, -1, FUNCTIONS, NULL, NULL, NULL, NULL};

static PyObject *create_module(void)
{
    return PyModule_Create(&MODULE);
}

static PyStatus set_paths(PyConfig *config, const char *executable)
{
    wchar_t **names[] = {&config->executable,  &config->base_executable, &config->prefix,      &config->base_prefix,
                         &config->exec_prefix, &config->base_exec_prefix, &config->stdlib_dir, &config->program_name};
    wchar_t *path = Py_DecodeLocale(executable, NULL);
    PyStatus status = path ? PyStatus_Ok() : PyStatus_NoMemory();

    for (size_t number = 0; !PyStatus_Exception(status) && number < sizeof names / sizeof *names; number++)
        status = PyConfig_SetString(config, names[number], path);
    config->module_search_paths_set = 1;
    if (!PyStatus_Exception(status))
        status = PyWideStringList_Append(&config->module_search_paths, MODULES);
    PyMem_RawFree(path);
    return status;
}

static PyStatus start_python(int argc, char **argv, const char *executable)
{
    PyPreConfig before;
    PyConfig config;
    PyStatus status;

    PyPreConfig_InitIsolatedConfig(&before);
    before.configure_locale = 1;
    before.utf8_mode = -1; /* in the locale C only */
    status = Py_PreInitialize(&before);
    if (PyStatus_Exception(status))
        return status;
    PyConfig_InitIsolatedConfig(&config);
    config.install_signal_handlers = 1;
    config.site_import = 0;
    config.write_bytecode = 0;
    config.parse_argv = 0;
    status = PyConfig_SetBytesArgv(&config, argc, argv);
    if (!PyStatus_Exception(status))
        status = PyConfig_SetBytesString(&config, &config.run_command, START);
    if (!PyStatus_Exception(status))
        status = set_paths(&config, executable);
    if (!PyStatus_Exception(status))
        status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
    return status;
}

int run(int argc, char **argv, const char *executable)
{
    PyStatus status;

    PyImport_AppendInittab("_bundle", create_module);
    status = start_python(argc, argv, executable);
    if (PyStatus_Exception(status))
        Py_ExitStatusException(status);
    return Py_RunMain();
}
