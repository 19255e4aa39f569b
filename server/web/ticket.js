// The ticket by which this page calls a server that wants keys. A key is never in here: your application's
// backend gets a ticket for one channel with its key, and sends its user to #channel=NAME&ticket=TICKET.
//
// It is kept in this page's memory only. What is behind the # is sent to no server and is in no server's log.

const IN_FRAGMENT = /^#(?:channel=[^&]*&)?ticket=[^&]+/;
let ticket = null;

/** Take the ticket that is in a URL's fragment; returns its channel's name, or null where there is no ticket. */
export function take(fragment) {
  if (!IN_FRAGMENT.test(fragment)) return null;
  const given = new URLSearchParams(fragment.slice(1));
  ticket = given.get("ticket");
  return given.get("channel") ?? "";
}

export function hasTicket() {
  return ticket !== null;
}

/** The headers of a request. */
export function headers() {
  return ticket === null ? {} : { Authorization: `Bearer ${ticket}` };
}

/** For a WebSocket, which a browser sends no headers with. */
export function authorize(url) {
  if (ticket !== null) url.searchParams.set("ticket", ticket);
}
