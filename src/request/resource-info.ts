import type { RequestInfo } from './types.ts'

/** What an authorizer is asked about a resource without a request; absent fields are empty. */
export function resourceInfo(
  part: Partial<RequestInfo> & Pick<RequestInfo, 'verb' | 'apiGroup'>,
): RequestInfo {
  return {
    isResourceRequest: true,
    path: '',
    apiPrefix: part.apiGroup === '' ? 'api' : 'apis',
    apiVersion: 'v1',
    namespace: '',
    resource: '',
    subresource: '',
    name: '',
    parts: [],
    fieldSelector: '',
    labelSelector: '',
    ...part,
  }
}
