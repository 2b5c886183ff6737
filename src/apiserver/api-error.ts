/**
 * Errors of the API: each is a metav1.Status, which is what goes over the wire.
 *
 * Reasons and sentences are upstream's (k8s.io/apimachinery/pkg/api/errors), because kubectl and client libraries print the
 * one and branch on the other.
 */
import type { JsonObject } from './json.js';

/** metav1.CauseType. */
export type ProblemType =
  | 'FieldValueInvalid'
  | 'FieldValueRequired'
  | 'FieldValueNotSupported'
  | 'FieldValueForbidden'
  | 'FieldValueDuplicate'
  | 'FieldValueTooLong'
  | 'FieldValueTooMany'
  | 'FieldValueTypeInvalid'
  | 'FieldManagerConflict';

/** One fault of an object's field (field.Error upstream). `field` is a path such as `spec.ports[0].port`. */
export interface Problem {
  readonly type: ProblemType;
  readonly field: string;
  readonly message: string;
}

export interface ErrorDetails {
  readonly group?: string;
  readonly kind?: string;
  readonly name?: string;
  readonly uid?: string;
  readonly retryAfterSeconds?: number;
  readonly causes?: readonly { readonly reason?: string; readonly message: string; readonly field?: string }[];
}

export class ApiError extends Error {
  override readonly name = 'ApiError';

  constructor(
    readonly code: number,
    readonly reason: string,
    message: string,
    readonly details?: ErrorDetails,
  ) {
    super(message);
  }

  /** The Status object to send. */
  toStatus(): JsonObject {
    return {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message: this.message,
      reason: this.reason,
      ...(this.details === undefined ? {} : { details: this.details as unknown as JsonObject }),
      code: this.code,
    };
  }
}

/** What an error is about; kind is the plural for most reasons, as upstream has it. */
export interface Subject {
  readonly group: string;
  readonly plural: string;
  readonly kind: string;
}

const qualified = (subject: Subject, noun: 'plural' | 'kind'): string =>
  subject.group === '' ? subject[noun] : `${subject[noun]}.${subject.group}`;

const detailsOf = (subject: Subject, name: string): ErrorDetails => ({
  name,
  group: subject.group,
  kind: subject.plural,
});

export const notFound = (subject: Subject, name: string): ApiError =>
  new ApiError(404, 'NotFound', `${qualified(subject, 'plural')} "${name}" not found`, detailsOf(subject, name));

export const pathNotFound = (): ApiError =>
  new ApiError(404, 'NotFound', 'the server could not find the requested resource', {});

export const alreadyExists = (subject: Subject, name: string): ApiError =>
  new ApiError(
    409,
    'AlreadyExists',
    `${qualified(subject, 'plural')} "${name}" already exists`,
    detailsOf(subject, name),
  );

export const conflict = (subject: Subject, name: string, why: string): ApiError =>
  new ApiError(
    409,
    'Conflict',
    `Operation cannot be fulfilled on ${qualified(subject, 'plural')} "${name}": ${why}`,
    detailsOf(subject, name),
  );

export const forbidden = (subject: Subject, name: string, why: string): ApiError =>
  new ApiError(
    403,
    'Forbidden',
    `${qualified(subject, 'plural')} "${name}" is forbidden: ${why}`,
    detailsOf(subject, name),
  );

export const badRequest = (message: string): ApiError => new ApiError(400, 'BadRequest', message);

export const expired = (message: string): ApiError => new ApiError(410, 'Expired', message);

export const methodNotAllowed = (method: string): ApiError =>
  new ApiError(
    405,
    'MethodNotAllowed',
    `the server does not allow this method on the requested resource: ${method}`,
    {},
  );

export const unsupportedMediaType = (accepted: readonly string[]): ApiError =>
  new ApiError(
    415,
    'UnsupportedMediaType',
    `the body of the request was in an unknown format - accepted media types include: ${accepted.join(', ')}`,
  );

export const tooLarge = (limit: number): ApiError =>
  new ApiError(413, 'RequestEntityTooLarge', `Request entity too large: limit is ${limit}`);

export const tooManyRequests = (message: string): ApiError =>
  new ApiError(429, 'TooManyRequests', message, { retryAfterSeconds: 1 });

/** 422 with one cause per problem. */
export function invalid(subject: Subject, name: string, problems: readonly Problem[]): ApiError {
  const sentences = problems.map((problem) => `${problem.field}: ${problem.message}`);
  const list = sentences.length === 1 ? sentences[0] : `[${sentences.join(', ')}]`;
  return new ApiError(422, 'Invalid', `${qualified(subject, 'kind')} "${name}" is invalid: ${list}`, {
    name,
    group: subject.group,
    kind: subject.kind,
    causes: problems.map((problem) => ({ reason: problem.type, message: problem.message, field: problem.field })),
  });
}

/** 409 of server-side apply: somebody else owns these fields (k8s.io/apimachinery/pkg/util/managedfields/internal/conflict.go). */
export function applyConflict(problems: readonly Problem[]): ApiError {
  const [first] = problems;
  const sentence =
    problems.length === 1 && first !== undefined
      ? `Apply failed with 1 conflict: ${first.message}: ${first.field}`
      : `Apply failed with ${problems.length} conflicts: ${listByManager(problems)}`;
  return new ApiError(409, 'Conflict', sentence, {
    causes: problems.map((problem) => ({ reason: problem.type, message: problem.message, field: problem.field })),
  });
}

function listByManager(problems: readonly Problem[]): string {
  const byManager = new Map<string, string[]>();
  for (const { message, field } of problems) byManager.set(message, [...(byManager.get(message) ?? []), field]);
  return [...byManager]
    .map(([message, fields]) => `${message.replace(/^conflict /, 'conflicts ')}:\n- ${fields.join('\n- ')}`)
    .join('\n');
}

/** 409: somebody else changed the object since the writer read it. */
export const staleVersion = (subject: Subject, name: string): ApiError =>
  conflict(
    subject,
    name,
    'the object has been modified; please apply your changes to the latest version and try again',
  );

/** 409: a precondition about uid or resourceVersion does not hold. */
export const preconditionFailed = (
  subject: Subject,
  name: string,
  field: 'UID' | 'ResourceVersion',
  asked: string,
  actual: string,
): ApiError =>
  conflict(
    subject,
    name,
    `Precondition failed: ${field} in precondition: ${asked}, ${field} in object meta: ${actual}`,
  );

// --- the sentences of field problems (k8s.io/apimachinery/pkg/util/validation/field) ---

const quoted = (value: unknown): string =>
  typeof value === 'string' ? JSON.stringify(value) : (JSON.stringify(value) ?? 'null');

export const invalidValue = (field: string, value: unknown, why: string): Problem => ({
  type: 'FieldValueInvalid',
  field,
  message: `Invalid value: ${quoted(value)}: ${why}`,
});

export const required = (field: string, why = ''): Problem => ({
  type: 'FieldValueRequired',
  field,
  message: why === '' ? 'Required value' : `Required value: ${why}`,
});

export const notSupported = (field: string, value: unknown, supported: readonly string[]): Problem => ({
  type: 'FieldValueNotSupported',
  field,
  message: `Unsupported value: ${quoted(value)}: supported values: ${supported.map(quoted).join(', ')}`,
});

export const forbiddenField = (field: string, why: string): Problem => ({
  type: 'FieldValueForbidden',
  field,
  message: `Forbidden: ${why}`,
});

export const duplicate = (field: string, value: unknown): Problem => ({
  type: 'FieldValueDuplicate',
  field,
  message: `Duplicate value: ${quoted(value)}`,
});
