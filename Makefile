# The steps of CI, which .ci/run calls, and some more. Another Go: GOTOOLCHAIN=go1.27.3 make test

.POSIX:
.PHONY: all peers fmt vet lint tidy test matrix stress fuzz bench

TIMEOUT  = 15m
FUZZTIME = 10s

all: fmt vet lint tidy test fuzz

# Installs the real clients and servers, and the tools that tests and lint use. As root.
peers:
	interop/install-peers.sh

fmt:
	@files=$$(git ls-files '*.go') && out=$$(gofmt -l $$files) && \
	if [ -n "$$out" ]; then echo "gofmt -w is due:" $$out; exit 1; fi

# And what stands in for files of Unix.
vet:
	go vet work
	GOOS=windows go vet ./...

# staticcheck does not know the pattern work, so it runs in each module.
lint:
	@PATH="$$(go env GOPATH)/bin:$$PATH"; dirs=$$(go list -m -f '{{.Dir}}') || exit; \
	for dir in $$dirs; do (cd "$$dir" && staticcheck ./...) || exit; done

tidy:
	@dirs=$$(go list -m -f '{{.Dir}}') || exit; \
	for dir in $$dirs; do (cd "$$dir" && go mod tidy -diff) || exit; done

# Without -race, the engine makes some system calls itself.
test:
	go test -race -count=1 -timeout $(TIMEOUT) work
	go test -count=1 -timeout $(TIMEOUT) ./internal/engine

# The matrix of real peers, as a user runs it.
matrix:
	go run ./interop -require

# Looks for flakes in the root package. Not a step of CI, whose time it would take.
stress:
	go test -race -count=3 -timeout $(TIMEOUT) .

# Every fuzz target of the root module, one after the other. Finding none is an error.
fuzz:
	@found=; pkgs=$$(go list ./...) || exit; \
	for pkg in $$pkgs; do \
		list=$$(go test -list '^Fuzz' $$pkg) || { echo "$$list"; exit 1; }; \
		for f in $$(echo "$$list" | grep '^Fuzz'); do \
			found=1; echo "$$pkg $$f"; \
			go test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s $$pkg || exit; \
		done; \
	done; \
	[ -n "$$found" ] || { echo "no fuzz target found"; exit 1; }

bench:
	go test -run '^$$' -bench . -benchmem ./...
