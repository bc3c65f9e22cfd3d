<#
.SYNOPSIS
Train, and start again after a crash from the newest checkpoint, a bounded number of times.
.DESCRIPTION
Errors that you must put right (exit code 2) and Ctrl-C (130) stop it at once.  Environment: FAILSAFE_COMMAND instead
of "python training/exp_runner.py"; FAILSAFE_WAIT seconds before the second try.
.PARAMETER exp
Folder of confs/embedder_conf_var, or a conf file.
.PARAMETER trainable_cameras
Its dtu_trained_cameras.conf, with --train_cameras; else dtu_fixed_cameras.conf.
.PARAMETER is_continue
The first try, too, goes on from the newest checkpoint.
.PARAMETER more
Anything else for exp_runner.py.
#>
param(
    [string] $exp = 'PosEnc',
    [switch] $trainable_cameras,
    [int] $scan_id = -1,
    [switch] $is_continue,
    [ValidateRange(1, 1000)] [int] $max_tries = 5,
    [Parameter(ValueFromRemainingArguments)] [string[]] $more = @()
)
. (Join-Path $PSScriptRoot 'failsafe.ps1')

$cameras = if ($trainable_cameras) { 'trained' } else { 'fixed' }
$arguments = @('--conf', (Get-Conf $exp $cameras))
if ($trainable_cameras) { $arguments += '--train_cameras' }
if ($scan_id -ge 0) { $arguments += '--scan_id', "$scan_id" }
if ($is_continue) { $arguments += '--is_continue' }
$arguments += $more
# exp_runner.py itself starts anew, with a warning, where there is no checkpoint yet.
$retry = if ($is_continue) { @() } else { @('--is_continue') }
$command = if ($env:FAILSAFE_COMMAND) { $env:FAILSAFE_COMMAND -split ' ' } else { 'python', 'training/exp_runner.py' }

Push-Location (Join-Path $PSScriptRoot '../code')
try { $status = Invoke-Failsafe $max_tries $command $arguments $retry } finally { Pop-Location }
exit $status
