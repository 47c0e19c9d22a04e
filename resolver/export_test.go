package resolver

import "time"

// Hold lets no time pass for a cache: what it answers is as old as it was when it came,
// however busy the machine is. Call it before the first question.
func (c *Cache) Hold() { c.now = held() }

// Hold lets no time pass for the referrals that a walk knows, as [Cache.Hold] does.
func (w *Walk) Hold() { w.now = held() }

func held() func() time.Time {
	now := time.Now()
	return func() time.Time { return now }
}
