// Empty: with an assembly file in the package, functions without a body are allowed, as runtime.go has them.
