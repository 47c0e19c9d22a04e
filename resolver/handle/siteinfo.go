package handle

import (
	"context"
	"fmt"
	"time"

	"github.com/nameplate-id/nameplate/resolver"
)

// Site asks the server for its site information (operation 2): where it, and those that
// answer with it, can be asked. The error is always a [*resolver.Error].
func (c *Client) Site(ctx context.Context) (*Site, error) {
	ctx, cancel := context.WithTimeout(ctx, c.o.Timeout)
	defer cancel()
	request := &Message{
		Envelope: Envelope{Request: randomRequest()},
		Opcode:   OpSiteInfo, Serial: NoSerial, Flags: FlagDigest | FlagKeepOpen,
		Expiration: uint32(time.Now().Add(validity).Unix()), Body: Name{"/"}.Append(nil),
	}
	request.Version, request.Suggested = c.versions()
	if c.o.Key != nil {
		request.Flags |= FlagCertified
	}
	m, err := c.exchange(ctx, request)
	if err == nil {
		var body Body
		if _, body, err = m.ParseBody(); err == nil {
			switch b := body.(type) {
			case SiteInfo:
				return b.Site, nil
			case Failure:
				return nil, told(m.Code, b.Message)
			}
			err = fmt.Errorf("it answers with %v", m.Code)
		}
	}
	return nil, &resolver.Error{Kind: resolver.Unavailable, Detail: "Handle server " + c.address + ", asked for its site information", Err: err}
}
