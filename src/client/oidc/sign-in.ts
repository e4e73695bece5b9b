import { ClientFailure } from '../failure.ts'
import type { Session } from '../session/session.ts'
import { signInWithCode } from './authorization-code.ts'
import { signInWithDevice } from './device.ts'
import { openIssuer } from './issuer.ts'
import type { SignInRequest } from './sign-in-request.ts'

/**
 * Signs a user in at the issuer of a method.
 *
 * @throws ClientFailure
 */
export async function signIn(request: SignInRequest): Promise<Session> {
  const { method, device, certificate } = request
  if (device && !method.deviceAuthorization) {
    throw new ClientFailure(
      'signInFailed',
      `the administrator has not allowed device codes for ${method.name}: leave out --device`,
    )
  }
  const { configuration, close } = await openIssuer({ ...method, certificate })
  try {
    return device
      ? await signInWithDevice(configuration, request)
      : await signInWithCode(configuration, request)
  } finally {
    await close()
  }
}
