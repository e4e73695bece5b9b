import type { UserInfo } from '../../src/authentication/authenticator.ts'
import { resolveRequestInfo } from '../../src/request/request-info.ts'
import { parseTarget } from '../../src/request/target.ts'
import type { RequestInfo } from '../../src/request/types.ts'

export function user(username: string, groups: readonly string[] = []): UserInfo {
  return { username, uid: '', groups, extra: {} }
}

/** @param request method and target, such as `GET /api/v1/pods` */
export function infoOf(request: string): RequestInfo {
  const [method = '', target = ''] = request.split(' ')
  return resolveRequestInfo(method, parseTarget(method, target))
}
