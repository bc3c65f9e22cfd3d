<#
.SYNOPSIS
Evaluate, and start again after a crash, a bounded number of times.
.DESCRIPTION
Errors that you must put right (exit code 2) and Ctrl-C (130) stop it at once.  Environment: FAILSAFE_COMMAND instead
of "python evaluation/eval.py"; FAILSAFE_WAIT seconds before the second try.
.PARAMETER exp
Folder of confs/embedder_conf_var, or a conf file.
.PARAMETER trainable_cameras
Its dtu_trained_cameras.conf; else dtu_fixed_cameras.conf.
.PARAMETER eval_rendering
Render every view and measure the renders.
.PARAMETER more
Anything else for eval.py.
#>
param(
    [string] $exp = 'PosEnc',
    [switch] $trainable_cameras,
    [int] $scan_id = -1,
    [switch] $eval_rendering,
    [ValidateRange(1, 1000)] [int] $max_tries = 3,
    [Parameter(ValueFromRemainingArguments)] [string[]] $more = @()
)
. (Join-Path $PSScriptRoot 'failsafe.ps1')

$cameras = if ($trainable_cameras) { 'trained' } else { 'fixed' }
$arguments = @('--conf', (Get-Conf $exp $cameras))
if ($scan_id -ge 0) { $arguments += '--scan_id', "$scan_id" }
if ($eval_rendering) { $arguments += '--eval_rendering' }
$arguments += $more
$command = if ($env:FAILSAFE_COMMAND) { $env:FAILSAFE_COMMAND -split ' ' } else { 'python', 'evaluation/eval.py' }

Push-Location (Join-Path $PSScriptRoot '../code')
try { $status = Invoke-Failsafe $max_tries $command $arguments } finally { Pop-Location }
exit $status
