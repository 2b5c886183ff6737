/** The OpenAPI v2 document, made once per set of kinds: as protobuf for kubectl, as JSON for everybody else. */
import type { ApiReply } from './api-reply.js';
import { openApiV2 } from './openapi.js';
import { encodeOpenApiV2, OPENAPI_V2_PROTOBUF } from './openapi-protobuf.js';
import type { Registry } from './registry.js';

interface Documents {
  readonly epoch: number;
  readonly text: string;
  readonly bytes: Buffer;
}

export class OpenApiCache {
  #documents: Documents | undefined;

  constructor(private readonly registry: Registry) {}

  version2(accept: string): ApiReply {
    const { text, bytes } = this.#current();
    return accept.includes('proto')
      ? { type: 'bytes', code: 200, bytes, contentType: OPENAPI_V2_PROTOBUF }
      : { type: 'text', code: 200, text };
  }

  #current(): Documents {
    const { epoch } = this.registry;
    if (this.#documents?.epoch !== epoch) {
      const document = openApiV2(this.registry);
      this.#documents = { epoch, text: JSON.stringify(document), bytes: encodeOpenApiV2(document) };
    }
    return this.#documents;
  }
}
