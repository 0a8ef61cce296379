// Takes a CPU profile of a workerd with an inspector, by V8's protocol: node profile.mjs PORT SECONDS. Prints, as JSON, how
// many microseconds were spent in each function itself: [[name, url, microseconds], ...].
const [port, seconds] = process.argv.slice(2);
const [target] = await (await fetch(`http://127.0.0.1:${port}/json`)).json();
const socket = new WebSocket(target.webSocketDebuggerUrl);
const waiting = new Map();
socket.onmessage = ({ data }) => {
  const { id, result } = JSON.parse(data);
  waiting.get(id)?.(result);
};
await new Promise((resolve, reject) => {
  socket.onopen = resolve;
  socket.onerror = () => reject(new Error("the inspector cannot be reached"));
});

function call(method, params = {}) {
  const id = waiting.size + 1;
  const answered = new Promise((resolve) => waiting.set(id, resolve));
  socket.send(JSON.stringify({ id, method, params }));
  return answered;
}

await call("Profiler.enable");
await call("Profiler.setSamplingInterval", { interval: 100 });
await call("Profiler.start");
await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
const { profile } = await call("Profiler.stop");
socket.close();

const frames = new Map(profile.nodes.map((node) => [node.id, node.callFrame]));
const spent = new Map();
profile.samples.forEach((sample, at) => {
  const { functionName, url } = frames.get(sample);
  const key = JSON.stringify([functionName, url]);
  spent.set(key, (spent.get(key) ?? 0) + profile.timeDeltas[at]);
});
console.log(JSON.stringify([...spent].map(([key, microseconds]) => [...JSON.parse(key), microseconds])));
