// `node heap.mjs PORT` prints V8's heap usage as JSON, read from workerd's inspector on this port (DevTools protocol).
const [target] = await (await fetch(`http://127.0.0.1:${process.argv[2]}/json`)).json();
const socket = new WebSocket(target.webSocketDebuggerUrl);
socket.onopen = () => socket.send(JSON.stringify({ id: 1, method: "Runtime.getHeapUsage" }));
socket.onmessage = ({ data }) => {
  const { id, result } = JSON.parse(data);
  if (id !== 1) return;
  console.log(JSON.stringify(result));
  socket.close();
};
