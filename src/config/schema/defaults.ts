/** Defaults that checks across fields need as well. */
export const DEFAULTS = {
  listenerPort: 8_443,
  probesPort: 8_081,
  concurrentRequests: 100,
  maxConnections: 256,
} as const
