// Talking to the studio's API: JSON questions, streams of lines, files. Docs: docs/studio.md.

const PATIENCE = 30;                // tries while the queue is full or statistics are being measured

export class Refusal extends Error {}

const pause = (seconds, signal) => new Promise((resolve, reject) => {
  const timer = setTimeout(resolve, seconds * 1000);
  signal?.addEventListener("abort", () => { clearTimeout(timer); reject(signal.reason); }, { once: true });
});

// A response that is not an error. Waits and asks again where the answer says when (429, 409).
async function answer(path, body, signal, onWait = () => {}) {
  const options = { signal };
  if (body !== undefined) {
    Object.assign(options, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  }
  for (let tries = 0; ; tries++) {
    let response;
    try {
      response = await fetch(path, options);
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new Refusal("The studio does not answer. Is it still running in its terminal?");
    }
    if (response.ok) return response;
    const reason = await response.json().then((value) => value.error, () => response.statusText);
    const after = Number(response.headers.get("retry-after"));
    if (!after || tries >= PATIENCE) throw new Refusal(reason);
    onWait(reason);
    await pause(after, signal);
  }
}

export const ask = async (path, body, signal) => (await answer(path, body, signal)).json();

export const file = async (path, body, signal, onWait) => (await answer(path, body, signal, onWait)).blob();

// The values of a stream of JSON lines, each as soon as it is there.
export async function* lines(path, body, signal, onWait) {
  const response = await answer(path, body, signal, onWait);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    for (const part of parts) {
      const line = JSON.parse(part);
      if (line.error) throw new Refusal(line.error);
      yield line;
    }
  }
}
