/** Everything of the client that takes time to load: published as one file, and loaded when needed. */
export { kubeconfig } from './commands/kubeconfig.ts'
export { lock, locks, unlock } from './commands/locks.ts'
export { login } from './commands/login.ts'
export { logout } from './commands/logout.ts'
export { whoami } from './commands/whoami.ts'
export { printToken, renewToken } from './renew-token.ts'
