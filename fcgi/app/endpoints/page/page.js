'use strict';
// Draws the page from /live, once a second. All that it knows of the past it
// has seen itself: nothing is kept, and nothing but /live is asked for it.

const HISTORY_SECONDS = 120;
const RULE_SECONDS = 45; // the rate's range in monitoring/prometheus/rules
const P95_SECONDS = 30;
const RATE_SECONDS = 5;
const RUNBOOKS = 'https://github.com/fcgi-webapp/fcgi-webapp/blob/main/monitoring/runbooks/';

// label as counted, how to send one, what it is for
const ROUTES = [
  ['root', 'GET', '/', 'says hello'],
  ['health', 'GET', '/health', 'the pool answers'],
  ['ready', 'GET', '/ready', '503 while it drains'],
  ['bye', 'GET', '/bye', 'says goodbye'],
  ['version', 'GET', '/version', 'which build this is'],
  ['live', 'GET', '/live', 'what this page reads'],
  ['riseload', 'DELETE', '/riseload', 'raises and ends load'],
  ['status', 'GET', '/status/500', 'ten and more: ErrorBudgetBurnFast'],
  ['delay', 'GET', '/delay/1', 'slow, ten and more: LatencyBurnFast'],
  ['block', 'GET', '/block/1', 'holds its worker, nobody else waits; 500 of them: RequestsQueueing'],
  ['crash', 'POST', '/crash', 'its worker aborts, three times: WorkersCrashing'],
  ['hang', 'POST', '/hang', 'its worker is killed: WorkerDeadlines'],
  ['other', 'GET', '/nowhere', 'what is not there, counted as other'],
];
const EXERCISE = ['riseload', 'status', 'delay', 'block', 'crash', 'hang'];
const ONE_AT_A_TIME = ['riseload', 'crash', 'hang'];

const rules = JSON.parse(document.getElementById('rules').textContent);
const samples = []; // what /live said, the oldest first
const $ = (id) => document.getElementById(id);

function put(id, text) {
  if ($(id).textContent !== text) {
    $(id).textContent = text;
  }
}

function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

// --- words for numbers ------------------------------------------------------

// null: the service could not read it.
const percent = (ratio) => ratio === null ? '–' : `${Math.round(100 * ratio)}\u00a0%`;
const cores = (value) => value === null ? '–' : `${value.toFixed(2)} cores`;
const share = (part, whole) => part === null || whole === null ? null : part / whole;
const count = (value) => value.toLocaleString('en-GB', value < 1e7 ? {} : {notation: 'compact', maximumFractionDigits: 1});

function bytes(value) {
  if (value === null) {
    return '–';
  }
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${value.toFixed(value < 10 && unit > 0 ? 1 : 0)} ${units[unit]}`;
}

function duration(seconds) {
  if (seconds < 0.001) {
    return `${(1e6 * seconds).toFixed(0)} µs`;
  }
  if (seconds < 1) {
    return `${(1000 * seconds).toFixed(seconds < 0.01 ? 1 : 0)} ms`;
  }
  return `${seconds.toFixed(1)} s`;
}

function span(seconds) {
  const units = [['day', 86400], ['h', 3600], ['min', 60]];
  for (const [name, size] of units) {
    if (seconds >= size) {
      const number = Math.floor(seconds / size);
      return `${number} ${name}${name === 'day' && number > 1 ? 's' : ''}`;
    }
  }
  return `${Math.floor(seconds)} s`;
}

// --- what the samples say ---------------------------------------------------

// The sample of so many seconds ago, or the oldest there is.
function before(seconds) {
  const now = samples.at(-1).time;
  return samples.find((sample) => now - sample.time <= seconds) || samples[0];
}

// Over a range as Prometheus' rate() sees it. What was before this page opened
// is taken to be as the first sample; what is not known is passed over.
function average(seconds, value) {
  const now = samples.at(-1).time;
  let sum = 0;
  let from = now - seconds;
  for (const sample of samples) {
    if (sample.time > from) {
      sum += (value(sample) || 0) * (sample.time - from);
      from = sample.time;
    }
  }
  return sum / seconds;
}

const usageOf = ({cpu}) => share(cpu.usage_cores, cpu.limit_cores);
const throttledOf = ({cpu}) => share(cpu.throttled_cores, cpu.limit_cores);

const RATIOS = {
  cpu_usage: () => average(RULE_SECONDS, usageOf),
  memory_working_set: () => share(samples.at(-1).memory.working_set_bytes, samples.at(-1).memory.limit_bytes),
};

// More was wanted than the limit gives. How much more, nothing says.
const wantsMore = () => RATIOS.cpu_usage() + average(RULE_SECONDS, throttledOf) > 1;

function rateOf(routes) {
  const now = samples.at(-1);
  const then = before(RATE_SECONDS);
  const seconds = now.time - then.time;
  const sum = (sample) => routes.reduce((total, route) => total + (sample.requests[route] || 0), 0);
  return seconds > 0 ? Math.max(0, sum(now) - sum(then)) / seconds : 0;
}

// As histogram_quantile() does it: straight lines between the bounds.
function quantile(share) {
  const then = before(P95_SECONDS).durations;
  const counts = samples.at(-1).durations.map(([, value], i) => value - then[i][1]);
  const wanted = share * counts.reduce((a, b) => a + b, 0);
  let seen = 0;
  let low = 0;
  for (const [i, [bound]] of then.entries()) {
    if (counts[i] > 0 && seen + counts[i] >= wanted) {
      return bound === null ? low : low + (bound - low) * (wanted - seen) / counts[i];
    }
    seen += counts[i];
    low = bound;
  }
  return null;
}

// --- alarms -----------------------------------------------------------------

const WORDS = {cpu_usage: 'CPU used', memory_working_set: 'memory used'};

for (const rule of rules) {
  rule.meters = rule.needs.map(([what, threshold]) => {
    const text = element('span', {});
    const bar = element('i', {});
    const tick = element('u', {});
    const meter = element('div', {class: 'meter', 'aria-hidden': 'true'}, bar, tick);
    const line = element('div', {class: 'why'}, text, meter, `over ${percent(threshold)}`);
    return {what, threshold, text, bar, tick, meter, line};
  });
  rule.state = element('span', {class: 'state'});
  rule.item = element('li', {}, element('div', {class: 'name'},
    element('a', {href: `${RUNBOOKS}${rule.alert}.md`, rel: 'noreferrer'}, rule.alert), rule.state),
  ...rule.meters.map((meter) => meter.line));
  if (rule.throttled) {
    rule.more = element('div', {class: 'small'});
    rule.item.append(rule.more);
  }
  $('alarms').append(rule.item);
}

// true since, still firing until: as Prometheus keeps them.
function follow(rule, now) {
  const holds = rule.meters.every(({what, threshold}) => RATIOS[what]() > threshold) && (!rule.throttled || wantsMore());
  if (holds) {
    rule.since = rule.since || now;
    rule.fires = rule.fires || now - rule.since >= rule.for;
    rule.held = now;
  } else {
    rule.since = 0;
    rule.fires = rule.fires && now - rule.held < rule.keep;
  }
}

function describe(rule, now) {
  // Alertmanager holds the lesser one back while the greater one fires.
  const over = rules.find((other) => other.fires && other !== rule && other.alert.replace('Over', 'Near') === rule.alert);
  if (rule.fires && over) {
    return ['', 'fires, said by the one above'];
  }
  if (rule.fires) {
    return ['fires', `would fire: ${rule.severity}`];
  }
  if (rule.since) {
    return ['pending', `true, fires in ${Math.ceil(rule.for - (now - rule.since))} s`];
  }
  return ['', 'quiet'];
}

function drawAlarms() {
  const now = samples.at(-1).time;
  const news = [];
  for (const rule of rules) {
    for (const {what, threshold, text, bar, tick, meter} of rule.meters) {
      const ratio = RATIOS[what]();
      text.textContent = `${WORDS[what]} ${percent(ratio)}`;
      bar.style.width = `${Math.min(100, 100 * ratio)}%`;
      tick.style.left = `${100 * threshold}%`;
      meter.classList.toggle('over', ratio > threshold);
    }
    if (rule.throttled) {
      rule.more.textContent = wantsMore() ? 'and wants more: throttled' : 'and wants no more';
    }
    follow(rule, now);
  }
  for (const rule of rules) {
    const [name, words] = describe(rule, now);
    if (rule.item.className !== name) {
      news.push(`${rule.alert}: ${words}`);
      rule.item.className = name;
    }
    rule.state.textContent = words;
  }
  if (news.length > 0) {
    put('alarm-news', news.join('. '));
  }
}

// --- the curve --------------------------------------------------------------

function drawCurve() {
  const now = samples.at(-1);
  const known = samples.filter((sample) => usageOf(sample) !== null);
  const top = 1.25;
  const x = (sample) => (1000 * (1 - (now.time - sample.time) / HISTORY_SECONDS)).toFixed(1);
  const y = (ratio) => (200 * (1 - Math.min(1, ratio / top))).toFixed(1);
  const usage = known.map((sample, i) => `${i ? 'L' : 'M'}${x(sample)} ${y(usageOf(sample))}`).join('');

  $('usage-line').setAttribute('d', usage);
  $('usage-area').setAttribute('d', usage && `${usage}L${x(known.at(-1))} 200L${x(known[0])} 200Z`);
  for (const [name, ratio] of [['limit', 1], ['near', 0.8]]) {
    $(`${name}-line`).setAttribute('y1', y(ratio));
    $(`${name}-line`).setAttribute('y2', y(ratio));
    $(`${name}-mark`).style.top = `${100 * (1 - ratio / top)}%`;
  }
}

function drawCpu() {
  const {limit_cores: limit, limited, usage_cores: usage, throttled_share: throttled} = samples.at(-1).cpu;
  const used = share(usage, limit);
  put('cpu-headline', used === null
    ? 'The usage is not known.'
    : throttled > 0.02
      ? `Uses ${percent(used)} of its limit${used > 0.95 ? ', wants more,' : ''} and is throttled in ${percent(throttled)} of the periods.`
      : `Uses ${percent(used)} of its limit and gets all that it wants.`);
  put('usage-value', cores(usage));
  put('limit-value', cores(limit));
  put('limit-mark', limited === false ? 'all CPUs' : 'limit');
  put('cpu-note', limited !== false
    ? 'Usage cannot pass the limit: the kernel throttles. In a throttled period the container wanted at least its limit; how much more, nothing says.'
    : 'No limit is set here, so nothing is throttled. In a container, or with “make stack”, it can be.');
}

// --- figures ----------------------------------------------------------------

function drawFigures() {
  const live = samples.at(-1);
  const {workers, memory} = live;
  const rate = rateOf(Object.keys(live.requests).filter((route) => route !== 'live'));
  const p95 = quantile(0.95);

  put('rate', rate < 10 ? rate.toFixed(1) : count(Math.round(rate)));
  put('p95', p95 === null ? '–' : duration(p95));
  // One of them is busy with the very answer that says so.
  put('workers', `${Math.max(0, workers.busy - 1)} of ${workers.count}`);
  put('workers-note', workers.stopped ? `${workers.stopped} stopped` : `${workers.blocking.busy} of ${workers.blocking.count} blocking`);
  put('throttled', percent(live.cpu.throttled_share));
  put('memory', bytes(memory.working_set_bytes));
  put('memory-note', `of ${bytes(memory.limit_bytes)}${memory.limited === false ? ', the machine’s' : ''}`);
  put('starts', count(live.starts));
  put('uptime', `up for ${span(live.uptime_seconds)}`);
}

// --- routes -----------------------------------------------------------------

const rows = {};

for (const [name, method, path, what] of ROUTES) {
  const label = `${method} ${path}`;
  const button = element('button', {type: 'button', 'data-route': name, 'aria-label': `Send ${label}`}, 'Send');
  const total = element('td', {class: 'number', 'data-count': name}, '–');
  const rate = element('td', {class: 'number'}, '–');
  const heading = element('th', {scope: 'row'}, element('code', {}, label), element('span', {}, what));

  button.addEventListener('click', () => press(button, name, method, path));
  rows[name] = {total, rate, button};
  $('routes').append(element('tr', {}, heading, total, rate, element('td', {}, button)));
}

function drawRoutes() {
  const live = samples.at(-1);
  for (const [name, row] of Object.entries(rows)) {
    const rate = rateOf([name]);
    row.total.textContent = count(live.requests[name] || 0);
    row.rate.textContent = rate < 0.05 ? '·' : rate.toFixed(rate < 10 ? 1 : 0);
  }
}

// --- sending ----------------------------------------------------------------

async function send(method, path) {
  const started = performance.now();
  try {
    const answer = await fetch(path, {method, cache: 'no-store', headers: {Accept: 'application/json'}});
    return {status: answer.status, body: (await answer.text()).trim(), ms: performance.now() - started};
  } catch (error) {
    return {status: 0, body: `no answer: ${error.message}`, ms: performance.now() - started};
  }
}

function show(label, status, note, body) {
  const shown = body.length > 300 ? `${body.slice(0, 300)}…` : body;
  const line = element('li', {}, element('b', status >= 400 || !status ? {class: 'bad'} : {}, status ? String(status) : 'failed'),
    ` ${label}, ${note}`, element('code', {}, shown));
  if (!$('answers').querySelector('b')) {
    $('answers').replaceChildren();
  }
  $('answers').prepend(line);
  while ($('answers').children.length > 12) {
    $('answers').lastChild.remove();
  }
}

async function sendMany(method, path, number) {
  const answers = [];
  const started = performance.now();
  const one = async () => {
    while (answers.length + waiting < number) {
      waiting++;
      const answer = await send(method, path);
      waiting--;
      answers.push(answer);
    }
  };
  let waiting = 0;
  await Promise.all(Array.from({length: 6}, one));
  const statuses = [...new Set(answers.map((answer) => answer.status))].map(
    (status) => `${answers.filter((answer) => answer.status === status).length} × ${status || 'failed'}`);
  return {...answers.at(-1), ms: performance.now() - started, statuses: statuses.join(', ')};
}

async function press(button, name, method, path) {
  const number = ONE_AT_A_TIME.includes(name) ? 1 : Number($('many').value);
  button.disabled = true;
  const answer = number > 1 ? await sendMany(method, path, number) : await send(method, path);
  button.disabled = false;
  show(`${method} ${path}`, answer.status, number > 1
    ? `${answer.statuses} in ${duration(answer.ms / 1000)}` : `after ${duration(answer.ms / 1000)}`, answer.body);
}

$('load-form').addEventListener('submit', async (event) => {
  event.preventDefault();
  const path = `/riseload?${new URLSearchParams(new FormData(event.target))}`;
  const answer = await send('POST', path);
  show(`POST ${decodeURIComponent(path)}`, answer.status, `after ${duration(answer.ms / 1000)}`, answer.body);
  poll();
});

$('end').addEventListener('click', () => press($('end'), 'riseload', 'DELETE', '/riseload').then(poll));

function drawLoad() {
  const {load_active: active, exercise} = samples.at(-1);
  const allowed = exercise !== false;
  $('raise').disabled = active || !allowed;
  $('end').disabled = !active;
  for (const name of EXERCISE) {
    rows[name].button.disabled = rows[name].button.disabled && allowed || !allowed;
  }
  rows.riseload.button.disabled = !active;
  put('load-state', !allowed ? 'Off: this service was started with --no-exercise.'
    : active ? 'A load runs. It ends by itself, or now.'
      : 'A load runs in a process of its own: the service goes on answering.');
}

// --- polling ----------------------------------------------------------------

let asking = false;
let lastAnswer = 0;

function connected(name, words) {
  $('connection').className = name;
  put('connection', words);
}

function take(live) {
  const last = samples.at(-1);
  if (last && live.time === last.time) {
    return;
  }
  // A counter file begun afresh, or a clock that was set back: differences to
  // what was before mean nothing.
  if (last && (live.requests_total < last.requests_total || live.time < last.time)) {
    samples.length = 0;
  }
  samples.push(live);
  while (live.time - samples[0].time > HISTORY_SECONDS) {
    samples.shift();
  }
  for (const draw of [drawAlarms, drawCurve, drawCpu, drawFigures, drawRoutes, drawLoad]) {
    draw();
  }
}

async function poll() {
  if (asking || document.hidden) {
    return;
  }
  asking = true;
  try {
    const answer = await fetch('/live', {cache: 'no-store', signal: AbortSignal.timeout(5000)});
    if (!answer.ok) {
      throw new Error(`status ${answer.status}`);
    }
    take(await answer.json());
    lastAnswer = Date.now();
    connected('live', 'live');
  } catch {
    connected('lost', lastAnswer ? `no answer for ${span((Date.now() - lastAnswer) / 1000)}` : 'no answer yet');
  } finally {
    asking = false;
  }
}

send('GET', '/version').then(({status, body}) => {
  if (status === 200) {
    const {version, revision} = JSON.parse(body);
    put('version', `${version} (${revision})`);
  }
});
document.addEventListener('visibilitychange', poll);
setInterval(poll, 1000);
poll();
