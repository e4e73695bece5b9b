import type { UnassertedGroups, UserInfo } from '../../src/authentication/authenticator.ts'
import { resolveRequestInfo } from '../../src/request/request-info.ts'
import { parseTarget } from '../../src/request/target.ts'
import type { RequestInfo } from '../../src/request/types.ts'

export function user(username: string, groups: readonly string[] = []): UserInfo {
  return { username, uid: '', groups, extra: {} }
}

/** A user who may be in more groups than `system:authenticated`. */
export function userWithUnasserted(unassertedGroups: UnassertedGroups, username = 'ada'): UserInfo {
  return { ...user(username, ['system:authenticated']), unassertedGroups }
}

/** @param request method and target, such as `GET /api/v1/pods` */
export function infoOf(request: string): RequestInfo {
  const [method = '', target = ''] = request.split(' ')
  return resolveRequestInfo(method, parseTarget(method, target))
}
