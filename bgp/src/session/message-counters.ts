/** Messages of one session in one direction, for people and BMP. */
export interface MessageCounters {
  open: number;
  update: number;
  notification: number;
  keepalive: number;
  routeRefresh: number;
  bytes: number;
}

export function noMessages(): MessageCounters {
  return { open: 0, update: 0, notification: 0, keepalive: 0, routeRefresh: 0, bytes: 0 };
}
