# SPDX-License-Identifier: BSD-3-Clause
"""What suites may use of DTS's api package, for runs without DTS."""
