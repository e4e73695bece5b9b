# Fails with what to do if the dependencies are not installed: Node's own error is a stack that names a module.
[ -e node_modules/.bin/node ] && [ -e node_modules/commander ] && exit 0
echo 'The dependencies are not installed. Run this first: npm ci' >&2
exit 1
