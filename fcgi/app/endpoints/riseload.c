/*
 * GET or POST /riseload?seconds=60&load=1.5&memory=0: raises CPU and memory
 * load for a time. load and memory are fractions of the limits. DELETE ends the
 * load. The master runs it in a separate process, and at most one in the pool.
 * This endpoint validates the parameters and orders the load (load/order.h).
 */
#include <errno.h>
#include <stdio.h>

#include <json-c/json.h>

#include "base/number.h"
#include "load/amount.h"
#include "load/order.h"
#include "metrics/counters.h"
#include "options.h"
#include "http/router.h"
#include "service.h"

enum { VALUE_SIZE = 64, PROBLEM_SIZE = 200 };

static const char *const known[] = {"seconds", "load", "memory", NULL};

/* Copy the value of a parameter, or the default. Returns 0 or -EINVAL. */
static int
get(const struct request *request, const char *name, const char *fallback,
    char *value)
{
	int found = request_query(request, name, value, VALUE_SIZE);

	if (found == 0)
		snprintf(value, VALUE_SIZE, "%s", fallback);
	return found < 0 ? found : 0;
}

/*
 * Parse the parameters. Returns 0 or a negative errno: -EINVAL for an invalid
 * parameter, otherwise the error that made a limit unreadable. On error problem
 * contains a sentence for the client.
 */
static int
parse(const struct request *request, struct load *load, char *problem)
{
	double longest = request->service->options->max_load_seconds;
	char seconds[VALUE_SIZE], cpu[VALUE_SIZE], memory[VALUE_SIZE];
	struct cgroup cgroup;
	int error;

	if (request_query_unknown(request, known, seconds, VALUE_SIZE)) {
		snprintf(problem, PROBLEM_SIZE,
		    "There is no parameter '%s': it takes seconds, load and "
		    "memory.",
		    seconds);
		return -EINVAL;
	}
	if (get(request, "seconds", "60", seconds) < 0 ||
	    get(request, "load", "1.5", cpu) < 0 ||
	    get(request, "memory", "0", memory) < 0) {
		snprintf(problem, PROBLEM_SIZE, "A value is too long.");
		return -EINVAL;
	}
	if (number_parse(seconds, &load->seconds) < 0 || load->seconds <= 0 ||
	    load->seconds > longest) {
		snprintf(problem, PROBLEM_SIZE,
		    "seconds must be a number above 0, and %g at most.",
		    longest);
		return -EINVAL;
	}
	cgroup_read("", &cgroup);
	error = load_amount_cpu(load, cpu, &cgroup, problem, PROBLEM_SIZE);
	if (!error)
		error = load_amount_memory(
		    load, memory, &cgroup, problem, PROBLEM_SIZE);
	if (error)
		return error;
	if (load->cpu_cores <= 0 && load->memory_bytes == 0 &&
	    load->memory_target == 0) {
		snprintf(problem, PROBLEM_SIZE,
		    "load or memory must be above 0: there is nothing to do.");
		return -EINVAL;
	}
	return 0;
}

/* A JSON number: 60 instead of 60.0. */
static struct json_object *
new_number(double number)
{
	return number == (double)(int64_t)number
		   ? json_object_new_int64((int64_t)number)
		   : json_object_new_double(number);
}

/* An amount as in the request: a JSON number if it is a number. */
static struct json_object *
as_given(const char *text)
{
	double number;

	return number_parse(text, &number) == 0 ? new_number(number)
						: json_object_new_string(text);
}

static void
start(const struct request *request, struct response *response)
{
	char cpu[VALUE_SIZE], memory[VALUE_SIZE], problem[PROBLEM_SIZE];
	struct load load = {0};
	struct json_object *body;
	int error = parse(request, &load, problem);

	if (error) {
		response_problem(
		    response, error == -EINVAL ? 400 : 503, "%s", problem);
		return;
	}
	error = load_order_start(&request->service->counters->scoreboard,
	    request->service->load_request_fd, &load);
	if (error == -EBUSY) {
		response_problem(response, 409,
		    "A load is running: wait for its end, or DELETE it.");
		return;
	}
	if (error) {
		response_problem(
		    response, 503, "The load could not be raised.");
		return;
	}
	get(request, "load", "1.5", cpu);
	get(request, "memory", "0", memory);
	body = json_object_new_object();
	json_object_object_add(
	    body, "msg", json_object_new_string("Load raised"));
	json_object_object_add(body, "seconds", new_number(load.seconds));
	json_object_object_add(body, "load", as_given(cpu));
	json_object_object_add(
	    body, "cpu_cores", json_object_new_double(load.cpu_cores));
	json_object_object_add(body, "memory", as_given(memory));
	response_json(response, 202, body);
}

static void
stop(const struct request *request, struct response *response)
{
	int error = load_order_end(&request->service->counters->scoreboard,
	    request->service->load_request_fd);

	if (error == -ENOENT)
		response_problem(response, 404, "No load is running.");
	else if (error)
		response_problem(response, 503, "The load could not be ended.");
	else
		response_text(response, 200, "{\"msg\": \"Load ended\"}");
}

void
endpoint_riseload(const struct request *request, struct response *response)
{
	if (request->method == METHOD_HEAD)
		response_text(response, 200, "{}"); /* starts no load */
	else if (request->method == METHOD_DELETE)
		stop(request, response);
	else
		start(request, response);
}
