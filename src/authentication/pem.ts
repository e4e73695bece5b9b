/** Blocks of PEM bundles (RFC 7468); whatever stands between two of them is a remark. */

/** A certificate. */
export const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g

/** A revocation list, and its base64. */
export const REVOCATION_LIST = /-----BEGIN X509 CRL-----([^-]+)-----END X509 CRL-----/g
