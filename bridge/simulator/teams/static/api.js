// The page's connections to the simulator: requests to the page API, and the stream of events.

/** A request that failed; `message` is a sentence for the person at the page. */
export class ApiError extends Error {}

async function call(path, body, method = body === undefined ? "GET" : "POST") {
  let response;
  try {
    response = await fetch(path, {
      method,
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
      // longer than the 15 s for a bot's answer, so the simulator's own verdict arrives first
      signal: AbortSignal.timeout(30_000),
    });
  } catch {
    throw new ApiError("The simulator does not answer. Is it still running in your terminal?");
  }
  const answer = response.status === 204 ? {} : await response.json().catch(() => ({}));
  if (!response.ok) {
    const sentence = answer.error ?? answer.message;
    throw new ApiError(sentence || `The simulator answered ${response.status}.`);
  }
  return answer;
}

const chatPath = (chat) => `/api/chats/${encodeURIComponent(chat)}`;

export const loadState = () => call("/api/state");
export const loadMessages = async (chat) => (await call(`${chatPath(chat)}/messages`)).messages;
export const sendMessage = (chat, message) => call(`${chatPath(chat)}/messages`, message);
export const openChat = (chat, person) => call(`${chatPath(chat)}/open`, { as: person });
export const killBridge = () => call("/api/bridge/kill", {});

const messagePath = ({ chat, id }) => `${chatPath(chat)}/messages/${encodeURIComponent(id)}`;

export const clickAction = (message, person, action) =>
  call(`${messagePath(message)}/actions`, { as: person, action });
export const editMessage = (message, person, text) => call(messagePath(message), { as: person, text }, "PUT");
export const deleteMessage = (message, person) => call(messagePath(message), { as: person }, "DELETE");
export const undeleteMessage = (message, person) => call(`${messagePath(message)}/undelete`, { as: person });
export const react = (message, person, type, on) => call(`${messagePath(message)}/reactions`, { as: person, type, on });
export const giveFeedback = (message, person, reaction, text) =>
  call(`${messagePath(message)}/feedback`, { as: person, reaction, text });
export const stopStream = (message, person) => call(`${messagePath(message)}/stop`, { as: person });
export const answerConsent = (message, person, action) =>
  call(`${messagePath(message)}/consent`, { as: person, action });
export const changeApp = (chat, person, action) => call(`${chatPath(chat)}/app`, { as: person, action });
export const loadTraffic = async () => (await call("/api/traffic")).entries ?? [];

/**
 * Follows `/api/events` while the page is open. `onOpen` runs at every (re)connection: events in between were missed, so
 * the caller has to load all data again. `onLost` runs when a connection breaks.
 */
export function followEvents({ onEvent, onOpen, onLost }) {
  let wait = 500;
  const connect = () => {
    const source = new EventSource("/api/events");
    source.onopen = () => {
      wait = 500;
      onOpen();
    };
    source.onmessage = ({ data }) => onEvent(JSON.parse(data));
    source.onerror = () => {
      onLost();
      // The browser reconnects a broken stream, after a pause of the browser's choice, but never after an HTTP error.
      // So the page closes the stream and reconnects in both cases, at most 5 s later.
      source.close();
      setTimeout(connect, wait);
      wait = Math.min(wait * 2, 5_000);
    };
  };
  connect();
}
