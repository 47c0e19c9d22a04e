//go:build !linux

package floor

import (
	"context"
	"errors"
)

func serveUDP(context.Context, string) error {
	return errors.New("the UDP floor uses recvmmsg: run it on Linux")
}
