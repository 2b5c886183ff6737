/** The lab has no authorization: everybody may do everything, and reviews say so (kubectl auth can-i, auth whoami). */
import { draft, isObject, put, type Json, type JsonObject } from './json.js';

/** What a POST to a review resource answers. */
export function answerReview(kind: string, apiVersion: string, body: Json | undefined): JsonObject {
  const review = put(put(isObject(body) ? body : draft(), ['kind'], kind), ['apiVersion'], apiVersion);
  return put(review, ['status'], statusOf(kind));
}

function statusOf(kind: string): JsonObject {
  switch (kind) {
    case 'SelfSubjectRulesReview':
      return {
        incomplete: false,
        nonResourceRules: [{ verbs: ['*'], nonResourceURLs: ['*'] }],
        resourceRules: [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }],
      };
    case 'SelfSubjectReview':
      return { userInfo: { username: 'lab-admin', groups: ['system:masters', 'system:authenticated'] } };
    case 'TokenReview':
      return { authenticated: true, user: { username: 'lab-admin', groups: ['system:masters'] } };
    default:
      return { allowed: true, reason: 'the lab allows everything' };
  }
}
