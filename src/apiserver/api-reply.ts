/** What a request is answered with, before HTTP. */
import type { WatchSink } from './watch.js';

export type ApiReply =
  | {
      readonly type: 'text';
      readonly code: number;
      readonly text: string;
      readonly contentType?: string;
      readonly warnings?: readonly string[];
    }
  | { readonly type: 'bytes'; readonly code: number; readonly bytes: Buffer; readonly contentType: string }
  | { readonly type: 'watch'; readonly start: (sink: WatchSink) => () => void };
