/** The paths of the pages; the issuer knows some of them. */
export const PAGES_PATH = '/gatehouse/'
export const SIGN_IN_PATH = `${PAGES_PATH}sign-in`
export const CALLBACK_PATH = `${PAGES_PATH}callback`
export const SIGN_OUT_PATH = `${PAGES_PATH}sign-out`
export const SIGNED_OUT_PATH = `${PAGES_PATH}signed-out`
export const CERTIFICATE_PATH = `${PAGES_PATH}certificate`
export const KUBECONFIG_PATH = `${PAGES_PATH}kubeconfig`
export const STYLE_PATH = `${PAGES_PATH}style.css`
export const ICON_PATH = `${PAGES_PATH}icon.svg`
