#!/usr/bin/perl
use strict;
use warnings;

$| = 1;
print "hello from perl\n";
open(my $file, '>', '/tmp/perl.txt') or die $!;
print $file "written by perl\n";
close($file);
system('cat', '/tmp/perl.txt');
