#include "metrics/collectors/cgroup.h"

void
cgroup_read(const char *root, struct cgroup *cgroup)
{
	*cgroup = (struct cgroup){0};
	cgroup->cpu_error = cgroup_cpu_read(root, cgroup);
	cgroup->memory_error = cgroup_memory_read(root, cgroup);
}
