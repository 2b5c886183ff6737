/** seam */
import type { ApiObject, ResourceType } from './resource-type.js';
export const recordUpdate = (_type: ResourceType, _old: ApiObject | undefined, object: ApiObject, _by: { readonly manager: string; readonly subresource: string; readonly now: number }): ApiObject => object;
